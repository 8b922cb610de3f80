//! [`UsageStore`] in SQLite: triggers keep the sums.

use super::rows::column;
use super::{SqliteStore, unavailable};
use crate::{KeyId, Result, StorageUse, UsageStore};
use async_trait::async_trait;

#[async_trait]
impl UsageStore for SqliteStore {
    async fn stored_bytes(&self, key: &KeyId) -> Result<u64> {
        let query = sqlx::query("SELECT bytes FROM key_bytes WHERE key_id = ?1").bind(key.as_str());
        let row = query.fetch_optional(&self.readers).await.map_err(unavailable)?;
        row.map_or(Ok(0), |row| Ok(column::<i64>(&row, "bytes")?.max(0).unsigned_abs()))
    }

    async fn storage_use(&self, limit: u32) -> Result<StorageUse> {
        let largest =
            sqlx::query("SELECT key_id, bytes FROM key_bytes WHERE bytes > 0 ORDER BY bytes DESC, key_id LIMIT ?1");
        let largest = largest.bind(limit).fetch_all(&self.readers).await.map_err(unavailable)?;
        let total = sqlx::query("SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM key_bytes");
        let total = total.fetch_one(&self.readers).await.map_err(unavailable)?;
        Ok(StorageUse {
            largest: largest
                .iter()
                .map(|row| Ok((column::<String>(row, "key_id")?.into(), column::<i64>(row, "bytes")?.unsigned_abs())))
                .collect::<Result<_>>()?,
            total: column::<i64>(&total, "bytes")?.max(0).unsigned_abs(),
        })
    }
}
