//! [`Upkeep`] in SQLite.

use super::settings::{read, write};
use super::{SqliteStore, rows, unavailable};
use crate::{Result, Timestamp, Upkeep};
use async_trait::async_trait;

const NOTED_TIME: &str = "noted_time";
const WRITE_CHECK: &str = "write_check";

/// The newest of the times that rows are made and ended.
const NEWEST_TIME: &str = "SELECT MAX(newest) AS newest FROM ( \
     SELECT MAX(created_at) AS newest FROM keys \
     UNION ALL SELECT MAX(created_at) FROM jobs UNION ALL SELECT MAX(finished_at) FROM jobs \
     UNION ALL SELECT MAX(created_at) FROM uploads)";

#[async_trait]
impl Upkeep for SqliteStore {
    async fn check_writable(&self) -> Result<()> {
        // Another value each time: a page that does not change is not written.
        self.writer
            .write(|connection, now| Box::pin(async move { write(connection, WRITE_CHECK, &now.to_string()).await }))
            .await
    }

    async fn forget_deleted(&self) -> Result<()> {
        self.checkpoints.cut_log().await
    }

    async fn noted_time(&self) -> Result<Option<Timestamp>> {
        let text = read(&self.readers, NOTED_TIME).await?;
        if let Some(noted) = text.and_then(|text| text.parse().ok()) {
            return Ok(Some(Timestamp(noted)));
        }
        let row = sqlx::query(NEWEST_TIME).fetch_one(&self.readers).await.map_err(unavailable)?;
        rows::time(&row, "newest")
    }

    async fn note_time(&self, now: Timestamp) -> Result<()> {
        self.writer
            .write(move |connection, _| Box::pin(async move { write(connection, NOTED_TIME, &now.to_string()).await }))
            .await
    }
}
