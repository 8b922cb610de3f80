//! [`UsageStore`] in PostgreSQL: the sums, with what the journal still holds.

use super::PostgresStore;
use crate::store::sql::rows::column;
use crate::{KeyId, Result, StorageUse, UsageStore};
use async_trait::async_trait;

const OF_KEY: &str = "SELECT (COALESCE((SELECT bytes FROM key_bytes WHERE key_id = $1), 0) \
     + COALESCE((SELECT SUM(bytes) FROM journal WHERE key_id = $1), 0))::BIGINT AS bytes";

/// Every key's sum; the total of all comes with each row.
const LARGEST: &str = "SELECT key_id, bytes, (SUM(bytes) OVER ())::BIGINT AS total FROM ( \
     SELECT key_id, SUM(bytes)::BIGINT AS bytes FROM (SELECT key_id, bytes FROM key_bytes UNION ALL \
     SELECT key_id, bytes FROM journal WHERE bytes <> 0) AS changes GROUP BY key_id) AS sums \
     ORDER BY bytes DESC, key_id LIMIT $1";

#[async_trait]
impl UsageStore for PostgresStore {
    async fn stored_bytes(&self, key: &KeyId) -> Result<u64> {
        let row = self
            .database
            .read(|session| Box::pin(session.one(sqlx::query(OF_KEY).bind(key.as_str().to_owned()))))
            .await?;
        Ok(column::<i64>(&row, "bytes")?.max(0).unsigned_abs())
    }

    async fn storage_use(&self, limit: u32) -> Result<StorageUse> {
        // The total is asked for even where no key is.
        let most = i64::from(limit.max(1));
        let rows = self.database.read(|session| Box::pin(session.all(sqlx::query(LARGEST).bind(most)))).await?;
        let total = rows.first().map(|row| column::<i64>(row, "total")).transpose()?.unwrap_or_default();
        let mut largest = Vec::new();
        for row in rows.iter().take(limit as usize) {
            let bytes = column::<i64>(row, "bytes")?.max(0).unsigned_abs();
            if bytes > 0 {
                largest.push((column::<String>(row, "key_id")?.into(), bytes));
            }
        }
        Ok(StorageUse { largest, total: total.max(0).unsigned_abs() })
    }
}
