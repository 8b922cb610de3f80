//! What the queue can answer instead of doing what was asked.

use crate::{JobId, KeyId};
use std::path::PathBuf;

/// Why a store or blob operation did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The idempotency key belongs to a job with another body.
    #[error("the idempotency key was used for another request (job {job})")]
    IdempotencyConflict {
        /// The job that holds the key.
        job: JobId,
    },
    /// No such API key, or it was revoked.
    #[error("unknown API key {key}")]
    UnknownKey {
        /// The key's public part.
        key: KeyId,
    },
    /// The API key's text is not acceptable.
    #[error("the API key is unusable: {reason}")]
    UnusableKey {
        /// What would be right.
        reason: String,
    },
    /// Another process works on the data folder.
    #[error("another server uses the data folder {}", path.display())]
    DataFolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// Another process works on the database file, by this name or another one.
    #[error("another server uses the database {}", path.display())]
    DatabaseInUse {
        /// The file.
        path: PathBuf,
    },
    /// Another process keeps its files in the folder.
    #[error("another server keeps its files in the folder {}; give each its own --storage-url", path.display())]
    StorageInUse {
        /// The folder.
        path: PathBuf,
    },
    /// A path that blobs may not have.
    #[error("{path:?} is no blob path")]
    BlobPath {
        /// The path as given.
        path: String,
    },
    /// The store cannot work now: disk full, read-only, file lost or damaged, server gone. Nothing was changed, or it
    /// is unknown whether it was; asking again later is safe.
    #[error("{what} is unavailable: {source}")]
    Unavailable {
        /// What cannot be reached or written: `database`, or the folder or blob by name.
        what: String,
        /// The reason below.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Result of the queue's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// [`Error::Unavailable`] for `what`.
    pub fn unavailable(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { what: what.into(), source: source.into() }
    }
}
