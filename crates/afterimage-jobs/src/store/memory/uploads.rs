//! [`UploadStore`] in memory.

use super::{MemoryStore, StoredUpload, Tables};
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
            kept_for: upload.kept_for,
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
        let now = self.clock.now();
        let mut tables = self.tables();
        let old =
            tables.expire_uploads(limit, |upload| (upload.created_at < created_before).then_some(upload.created_at));
        let own_end = |upload: &Upload| Some(upload.created_at.plus(upload.kept_for?)).filter(|end| *end < now);
        Ok(old + tables.expire_uploads(limit, own_end))
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

impl Tables {
    /// Hides uploads for which `due` gives a time, those of the earliest times first.
    fn expire_uploads(&mut self, limit: u32, due: impl Fn(&Upload) -> Option<Timestamp>) -> u64 {
        let visible = self.uploads.values_mut().filter(|stored| !stored.expired);
        let mut old: Vec<(Timestamp, &mut StoredUpload)> =
            visible.filter_map(|stored| Some((due(&stored.upload)?, stored))).collect();
        old.sort_by_key(|(at, _)| *at);
        old.truncate(limit as usize);
        for (_, stored) in &mut old {
            stored.expired = true;
        }
        old.len() as u64
    }
}
