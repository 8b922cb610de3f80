//! What keys keep on disk.

use crate::{KeyId, Result};
use async_trait::async_trait;

/// Bytes on disk by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageUse {
    /// The keys that keep most, most first; those that keep nothing are left out.
    pub largest: Vec<(KeyId, u64)>,
    /// Bytes of all keys together.
    pub total: u64,
}

/// Sums of the bytes of inputs, results and uploads. A file counts until it was removed, not until it was deleted or
/// expired.
#[async_trait]
pub trait UsageStore: Send + Sync + 'static {
    /// Bytes that `key` keeps.
    async fn stored_bytes(&self, key: &KeyId) -> Result<u64>;

    /// The `limit` keys that keep most, and the sum over all.
    async fn storage_use(&self, limit: u32) -> Result<StorageUse>;
}
