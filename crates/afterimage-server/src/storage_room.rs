//! Who may store how much more: one quota for each key, and room that is left free for everybody.
//!
//! Bytes are reserved before they are written and given back when the store counts them (or they were not kept), so
//! requests side by side cannot pass a limit together.

use crate::free_space::Disks;
use crate::refusal::Refusal;
use afterimage_jobs::{KeyId, Store};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The limits, and what is being stored just now.
#[derive(Debug)]
pub struct StorageRoom {
    /// Bytes that a key may keep.
    quota: Option<u64>,
    disks: Disks,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    total: u64,
    by_key: HashMap<KeyId, u64>,
}

/// Bytes that somebody may store, until it is dropped.
#[derive(Debug)]
pub struct Reserved<'a> {
    room: &'a StorageRoom,
    key: KeyId,
    bytes: u64,
}

impl StorageRoom {
    /// Room on `disks`, of which a key may take `quota` bytes.
    pub fn new(quota: Option<u64>, disks: Disks) -> Self {
        Self { quota, disks, pending: Mutex::default() }
    }

    /// The disks.
    pub const fn disks(&self) -> &Disks {
        &self.disks
    }

    /// Reserves `bytes` for `key`. With 0 bytes it tells whether the key may ask for anything that will take room.
    ///
    /// # Errors
    /// [`Refusal::OverQuota`], [`Refusal::DiskFull`], those of the store.
    pub async fn reserve(&self, store: &dyn Store, key: &KeyId, bytes: u64) -> Result<Reserved<'_>, Refusal> {
        self.reserve_beside(store, key, bytes, 0).await
    }

    /// [`StorageRoom::reserve`] for a key of which `beside` bytes lie on the disk that the store does not count yet.
    ///
    /// # Errors
    /// As [`StorageRoom::reserve`].
    pub async fn reserve_beside(
        &self,
        store: &dyn Store,
        key: &KeyId,
        bytes: u64,
        beside: u64,
    ) -> Result<Reserved<'_>, Refusal> {
        // Reserved before anything is asked: what others store meanwhile then counts here or there, never nowhere.
        let reserved = Reserved { room: self, key: key.clone(), bytes };
        let (pending, of_key) = self.pending().add(key, bytes);
        if !self.disks.have_room_for(pending) {
            return Err(Refusal::DiskFull);
        }
        if let Some(quota) = self.quota {
            let stored = store.stored_bytes(key).await?.saturating_add(beside);
            if stored >= quota || stored.saturating_add(of_key) > quota {
                return Err(Refusal::OverQuota { stored, quota });
            }
        }
        Ok(reserved)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// What is pending with `bytes` more: of all keys, and of `key`.
    fn add(&mut self, key: &KeyId, bytes: u64) -> (u64, u64) {
        self.total = self.total.saturating_add(bytes);
        let of_key = self.by_key.entry(key.clone()).or_default();
        *of_key = of_key.saturating_add(bytes);
        (self.total, *of_key)
    }

    fn remove(&mut self, key: &KeyId, bytes: u64) {
        self.total = self.total.saturating_sub(bytes);
        let left = self.by_key.get(key).copied().unwrap_or(0).saturating_sub(bytes);
        if left == 0 {
            self.by_key.remove(key);
        } else {
            self.by_key.insert(key.clone(), left);
        }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.room.pending().remove(&self.key, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::free_space::Space;
    use afterimage_jobs::{KeyStore, MemoryStore, NewKey, NewUpload, SystemClock, UploadFacts, UploadId, UploadStore};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn room(quota: Option<u64>, free: Arc<AtomicU64>) -> StorageRoom {
        let read = move |_: &std::path::Path| Ok(Some(Space { free: free.load(Ordering::SeqCst), total: 400 }));
        StorageRoom::new(quota, Disks::read_by(vec![("data", "data".into())], Box::new(read)))
    }

    async fn key(store: &MemoryStore) -> KeyId {
        store.create_key(NewKey::default()).await.unwrap().0.id
    }

    async fn store_upload(store: &MemoryStore, key: &KeyId, bytes: u64) {
        let id = UploadId::random();
        let facts =
            UploadFacts { blob: "uploads/x".into(), content_type: "image/png".into(), bytes, width: 1, height: 1 };
        let new = NewUpload {
            id,
            key: key.clone(),
            filename: String::new(),
            declared_type: String::new(),
            facts: Some(facts),
            kept_for: None,
        };
        store.create_upload(new).await.unwrap();
    }

    #[tokio::test]
    async fn a_key_has_its_quota_and_no_more() {
        let store = MemoryStore::new(Arc::new(SystemClock));
        let (one, two) = (key(&store).await, key(&store).await);
        let room = room(Some(100), Arc::new(AtomicU64::new(1000)));
        let first = room.reserve(&store, &one, 60).await.unwrap();
        // Side by side they count together; another key has its own.
        assert!(matches!(room.reserve(&store, &one, 41).await, Err(Refusal::OverQuota { stored: 0, quota: 100 })));
        drop(room.reserve(&store, &two, 100).await.unwrap());
        drop(room.reserve(&store, &one, 40).await.unwrap());
        store_upload(&store, &one, 60).await;
        drop(first);
        assert!(matches!(room.reserve(&store, &one, 41).await, Err(Refusal::OverQuota { stored: 60, quota: 100 })));
        drop(room.reserve(&store, &one, 0).await.unwrap());
        store_upload(&store, &one, 40).await;
        assert!(matches!(room.reserve(&store, &one, 0).await, Err(Refusal::OverQuota { stored: 100, .. })));
        assert!(room.pending().by_key.is_empty() && room.pending().total == 0);
    }

    #[tokio::test]
    async fn nothing_new_is_taken_below_the_floor() {
        let store = MemoryStore::new(Arc::new(SystemClock));
        let one = key(&store).await;
        let free = Arc::new(AtomicU64::new(200));
        let room = room(None, Arc::clone(&free));
        let first = room.reserve(&store, &one, 60).await.unwrap();
        assert!(matches!(room.reserve(&store, &one, 41).await, Err(Refusal::DiskFull)));
        drop(first);
        drop(room.reserve(&store, &one, 100).await.unwrap());
        free.store(99, Ordering::SeqCst);
        assert!(matches!(room.reserve(&store, &one, 0).await, Err(Refusal::DiskFull)));
        free.store(100, Ordering::SeqCst);
        drop(room.reserve(&store, &one, 0).await.unwrap());
    }
}
