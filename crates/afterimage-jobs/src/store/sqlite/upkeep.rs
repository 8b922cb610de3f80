//! [`Upkeep`] in SQLite.

use super::SqliteStore;
use super::settings::{read, write};
use crate::{Result, Timestamp, Upkeep};
use async_trait::async_trait;

const NOTED_TIME: &str = "noted_time";
const WRITE_CHECK: &str = "write_check";

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
        Ok(text.and_then(|text| text.parse().ok()).map(Timestamp))
    }

    async fn note_time(&self, now: Timestamp) -> Result<()> {
        self.writer
            .write(move |connection, _| Box::pin(async move { write(connection, NOTED_TIME, &now.to_string()).await }))
            .await
    }
}
