//! [`Upkeep`] in memory.

use super::MemoryStore;
use crate::{Result, Timestamp, Upkeep};
use async_trait::async_trait;

#[async_trait]
impl Upkeep for MemoryStore {
    async fn check_writable(&self) -> Result<()> {
        Ok(())
    }

    async fn forget_deleted(&self) -> Result<()> {
        Ok(())
    }

    async fn noted_time(&self) -> Result<Option<Timestamp>> {
        let tables = self.tables();
        let jobs = tables.jobs.values().map(|stored| stored.job.finished_at.max(Some(stored.job.created_at)));
        let uploads = tables.uploads.values().map(|stored| Some(stored.upload.created_at));
        let keys = tables.keys.iter().map(|(key, _)| Some(key.created_at));
        Ok(tables.noted_time.or_else(|| jobs.chain(uploads).chain(keys).max().flatten()))
    }

    async fn note_time(&self, now: Timestamp) -> Result<()> {
        self.tables().noted_time = Some(now);
        Ok(())
    }
}
