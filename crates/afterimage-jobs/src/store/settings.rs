//! Facts about the installation that outlive a process.

use crate::Result;
use async_trait::async_trait;

/// What is drawn at the first call and the same ever after.
#[async_trait]
pub trait SettingsStore: Send + Sync + 'static {
    /// 32 random bytes that only the installation knows: the root of signatures.
    async fn server_secret(&self) -> Result<[u8; 32]>;

    /// A text that tells this database from every other one; no secret. Files are marked with it, see
    /// [`crate::StorageClaim`].
    async fn database_id(&self) -> Result<String>;
}
