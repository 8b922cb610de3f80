//! [`UploadStore`] in memory.

use super::{MemoryStore, StoredUpload, Tables};
use crate::{Due, NewUpload, Result, Timestamp, Upload, UploadFacts, UploadId, UploadState, UploadStore};
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

    async fn uploads(&self, ids: &[UploadId]) -> Result<Vec<Upload>> {
        let tables = self.tables();
        let found = ids.iter().filter_map(|id| tables.uploads.get(id)).filter(|stored| !stored.expired);
        Ok(found.map(|stored| stored.upload.clone()).collect())
    }

    async fn expire_uploads(&self, due: Due, limit: u32) -> Result<u64> {
        let mut tables = self.tables();
        let mut expired = 0;
        for rule in [old, own_time_over] {
            for id in tables.due_uploads(limit, |upload| rule(upload, due)) {
                if let Some(stored) = tables.uploads.get_mut(&id) {
                    stored.expired = true;
                    expired += 1;
                }
            }
        }
        Ok(expired)
    }

    async fn due_uploads(&self, due: Due, limit: u32) -> Result<Vec<UploadId>> {
        let tables = self.tables();
        Ok(tables.due_uploads(limit, |upload| old(upload, due).or_else(|| own_time_over(upload, due))))
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

/// Since when the general rule makes an upload due.
fn old(upload: &Upload, due: Due) -> Option<Timestamp> {
    (upload.created_at < due.before).then_some(upload.created_at)
}

/// Since when an upload's own time is over.
fn own_time_over(upload: &Upload, due: Due) -> Option<Timestamp> {
    Some(upload.created_at.plus(upload.kept_for?)).filter(|end| *end < due.now)
}

impl Tables {
    /// Uploads for which `due_since` gives a time, those of the earliest times first.
    fn due_uploads(&self, limit: u32, due_since: impl Fn(&Upload) -> Option<Timestamp>) -> Vec<UploadId> {
        let visible = self.uploads.values().filter(|stored| !stored.expired).map(|stored| &stored.upload);
        let mut due: Vec<_> = visible.filter_map(|upload| Some((due_since(upload)?, upload.id.clone()))).collect();
        due.sort();
        due.into_iter().take(limit as usize).map(|(_, id)| id).collect()
    }
}
