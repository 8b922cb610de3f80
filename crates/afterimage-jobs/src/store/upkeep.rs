//! What keeps a store in order, apart from its contents.

use crate::{Result, Timestamp};
use async_trait::async_trait;
use std::time::Duration;

/// Whether a store works, and the traces that deleting leaves.
#[async_trait]
pub trait Upkeep: Send + Sync + 'static {
    /// Writes something small in the way that every write goes.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when a submit would be answered so now.
    async fn check_writable(&self) -> Result<()>;

    /// Removes what was deleted from wherever the store keeps earlier versions of its contents.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] also when readers were in the way; a later call will do.
    async fn forget_deleted(&self) -> Result<()>;

    /// Whether this process is the one to do `what` during `pause`, of all that use the store. Whoever did it last time need not
    /// be the one.
    async fn take_turn(&self, _what: &'static str, _pause: Duration) -> Result<bool> {
        Ok(true)
    }

    /// The time that [`Upkeep::note_time`] was last given; where it never was, the newest time that the store holds.
    async fn noted_time(&self) -> Result<Option<Timestamp>>;

    /// Keeps a time that was believed, for the next process.
    async fn note_time(&self, now: Timestamp) -> Result<()>;
}
