//! [`UsageStore`] in memory: adds everything up.

use super::{MemoryStore, StoredJob, StoredUpload, Tables};
use crate::{KeyId, Result, StorageUse, UploadState, UsageStore};
use async_trait::async_trait;
use std::cmp::Reverse;
use std::collections::BTreeMap;

#[async_trait]
impl UsageStore for MemoryStore {
    async fn stored_bytes(&self, key: &KeyId) -> Result<u64> {
        Ok(self.tables().stored_bytes().get(key).copied().unwrap_or(0))
    }

    async fn storage_use(&self, limit: u32) -> Result<StorageUse> {
        let by_key = self.tables().stored_bytes();
        let total = by_key.values().sum();
        let mut largest: Vec<(KeyId, u64)> = by_key.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        largest.sort_by_key(|(key, bytes)| (Reverse(*bytes), key.clone()));
        largest.truncate(limit as usize);
        Ok(StorageUse { largest, total })
    }
}

impl Tables {
    fn stored_bytes(&self) -> BTreeMap<KeyId, u64> {
        let jobs = self.jobs.values().map(|stored| (&stored.job.key, stored.bytes()));
        let uploads = self.uploads.values().map(|stored| (&stored.upload.key, stored.bytes()));
        let mut sums = BTreeMap::new();
        for (key, bytes) in jobs.chain(uploads) {
            *sums.entry(key.clone()).or_default() += bytes;
        }
        sums
    }
}

impl StoredJob {
    fn bytes(&self) -> u64 {
        self.job.input_bytes + self.result_bytes
    }
}

impl StoredUpload {
    fn bytes(&self) -> u64 {
        match &self.upload.state {
            UploadState::Pending => 0,
            UploadState::Ready(facts) => facts.bytes,
        }
    }
}
