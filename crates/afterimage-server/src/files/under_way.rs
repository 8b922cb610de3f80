//! Which uploads in parts are under way: how many of a key, with how many bytes, and whose turn it is to add to them.

use crate::refusal::Refusal;
use afterimage_jobs::{KeyId, Upload, UploadId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as Turn, Semaphore, SemaphorePermit};

/// Uploads in parts that one key may have under way: with [`super::parts::most_bytes`] each they bound what lies on the
/// disk.
const MOST_AT_ONCE: usize = 16;

/// Uploads that are put together at once, each in memory as a whole.
const PUT_TOGETHER: usize = 2;

/// Uploads in parts that are under way in this process; those from before a restart, or of another host, come with their
/// next part.
#[derive(Debug)]
pub struct UploadsInParts {
    under_way: Mutex<HashMap<UploadId, UploadUnderWay>>,
    put_together: Semaphore,
}

#[derive(Debug)]
struct UploadUnderWay {
    key: KeyId,
    since: Instant,
    /// Bytes of the parts that lie on the disk, as far as this process put them there.
    bytes: u64,
    /// Whoever counts the bytes that are there and adds to them.
    turn: Arc<Turn<()>>,
}

impl Default for UploadsInParts {
    fn default() -> Self {
        Self { under_way: Mutex::default(), put_together: Semaphore::new(PUT_TOGETHER) }
    }
}

impl UploadsInParts {
    /// The turn of `upload`, which counts as under way from now on.
    pub(super) fn enter(&self, upload: &Upload, lifetime: Duration) -> Result<Arc<Turn<()>>, Refusal> {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| one.since.elapsed() < lifetime);
        if let Some(known) = all.get(&upload.id) {
            return Ok(Arc::clone(&known.turn));
        }
        if all.values().filter(|one| one.key == upload.key).count() >= MOST_AT_ONCE {
            return Err(Refusal::BadBody(format!(
                "{MOST_AT_ONCE} uploads in parts are under way for this key; complete them first"
            )));
        }
        let turn = Arc::<Turn<()>>::default();
        let one = UploadUnderWay { key: upload.key.clone(), since: Instant::now(), bytes: 0, turn: Arc::clone(&turn) };
        all.insert(upload.id.clone(), one);
        Ok(turn)
    }

    /// Notes the bytes of the parts of `upload`.
    pub(super) fn hold(&self, upload: &UploadId, bytes: u64) {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = all.get_mut(upload) {
            one.bytes = bytes;
        }
    }

    /// Bytes of the parts of all uploads of `key` but `upload`.
    pub(super) fn held_beside(&self, upload: &UploadId, key: &KeyId) -> u64 {
        let all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|(id, one)| *id != upload && one.key == *key).map(|(_, one)| one.bytes).sum()
    }

    pub(super) fn leave(&self, upload: &UploadId) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(upload);
    }

    /// A turn to put an upload together, until it is dropped.
    pub(super) async fn turn_to_put_together(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        // The semaphore is never closed.
        self.put_together.acquire().await.map_err(|_| Refusal::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_jobs::{Timestamp, UploadState};

    fn upload(key: &str) -> Upload {
        Upload {
            id: UploadId::random(),
            key: KeyId::from(key),
            filename: String::new(),
            declared_type: String::new(),
            state: UploadState::Pending,
            created_at: Timestamp(0),
            kept_for: None,
        }
    }

    #[test]
    fn a_key_has_so_many_under_way_whatever_others_do() {
        let (all, hour) = (UploadsInParts::default(), Duration::from_hours(1));
        let first: Vec<Upload> = (0..MOST_AT_ONCE).map(|_| upload("a")).collect();
        assert!(first.iter().all(|upload| all.enter(upload, hour).is_ok()));
        assert!(all.enter(&upload("a"), hour).is_err());
        assert!(all.enter(&first[3], hour).is_ok(), "one that is under way goes on");
        assert!(all.enter(&upload("b"), hour).is_ok());
        all.leave(&first[3].id);
        assert!(all.enter(&upload("a"), hour).is_ok());
        assert!(all.enter(&upload("a"), hour).is_err());
        assert!(all.enter(&upload("a"), Duration::ZERO).is_ok(), "the others are too old");
    }
}
