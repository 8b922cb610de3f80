//! Facts about the installation that outlive a process.

use crate::Result;
use async_trait::async_trait;

/// The installation's own secrets.
#[async_trait]
pub trait SettingsStore: Send + Sync + 'static {
    /// 32 random bytes, drawn at the first call and the same ever after: the root of signatures.
    async fn server_secret(&self) -> Result<[u8; 32]>;
}
