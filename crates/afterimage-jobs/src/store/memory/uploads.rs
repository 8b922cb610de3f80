//! [`UploadStore`] in memory.

use super::{MemoryStore, StoredUpload};
use crate::{NewUpload, Result, Timestamp, Upload, UploadFacts, UploadId, UploadState, UploadStore};
use async_trait::async_trait;

#[async_trait]
impl UploadStore for MemoryStore {
    async fn create_upload(&self, upload: NewUpload) -> Result<Upload> {
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.check_key(&upload.key)?;
        let upload = Upload {
            id: upload.id,
            key: upload.key,
            filename: upload.filename,
            declared_type: upload.declared_type,
            state: upload.facts.map_or(UploadState::Pending, UploadState::Ready),
            created_at: now,
        };
        tables.uploads.insert(upload.id.clone(), StoredUpload { upload: upload.clone(), expired: false });
        Ok(upload)
    }

    async fn finish_upload(&self, id: &UploadId, facts: UploadFacts) -> Result<Option<Upload>> {
        let mut tables = self.tables();
        let pending = tables.uploads.get_mut(id).filter(|stored| !stored.expired);
        let Some(stored) = pending.filter(|stored| stored.upload.state == UploadState::Pending) else {
            return Ok(None);
        };
        stored.upload.state = UploadState::Ready(facts);
        Ok(Some(stored.upload.clone()))
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<Upload>> {
        let tables = self.tables();
        Ok(tables.uploads.get(id).filter(|stored| !stored.expired).map(|stored| stored.upload.clone()))
    }

    async fn expire_uploads(&self, created_before: Timestamp, limit: u32) -> Result<u64> {
        let mut tables = self.tables();
        let mut old: Vec<&mut StoredUpload> = tables
            .uploads
            .values_mut()
            .filter(|stored| !stored.expired && stored.upload.created_at < created_before)
            .collect();
        old.sort_by_key(|stored| stored.upload.created_at);
        old.truncate(limit as usize);
        for stored in &mut old {
            stored.expired = true;
        }
        Ok(old.len() as u64)
    }

    async fn unswept_uploads(&self, limit: u32) -> Result<Vec<UploadId>> {
        let tables = self.tables();
        let mut expired: Vec<&Upload> =
            tables.uploads.values().filter(|stored| stored.expired).map(|stored| &stored.upload).collect();
        expired.sort_by_key(|upload| (upload.created_at, upload.id.clone()));
        Ok(expired.into_iter().take(limit as usize).map(|upload| upload.id.clone()).collect())
    }

    async fn forget_uploads(&self, uploads: &[UploadId]) -> Result<()> {
        let mut tables = self.tables();
        for id in uploads {
            if tables.uploads.get(id).is_some_and(|stored| stored.expired) {
                tables.uploads.remove(id);
            }
        }
        Ok(())
    }
}
