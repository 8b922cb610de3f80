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
        Ok(self.tables().noted_time)
    }

    async fn note_time(&self, now: Timestamp) -> Result<()> {
        self.tables().noted_time = Some(now);
        Ok(())
    }
}
