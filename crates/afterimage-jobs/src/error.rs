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
    /// The files of the database are in another place than the one that this process was given.
    #[error(
        "the files of this database are in {there}, and --storage-url says {here}: hosts of one database need the same storage"
    )]
    StorageElsewhere {
        /// What this process was given.
        here: String,
        /// What the servers of the database use.
        there: String,
    },
    /// An address of a database that says nothing, or something wrong.
    #[error("the database's address is unusable: {reason}")]
    Address {
        /// What is wrong, without the password.
        reason: String,
    },
    /// The database's schema is not this program's.
    #[error(
        "the database's schema {}; this program works on version {known}: {}",
        found.map_or_else(|| "is not there yet".to_owned(), |found| format!("has version {found}")),
        if found.is_some_and(|found| found > *known) { "use a newer program" } else { "run `afterimage migrate` first" }
    )]
    Schema {
        /// The version found.
        found: Option<i64>,
        /// The version that this program works on.
        known: i64,
    },
    /// There is a pooler in transaction mode that the address does not name.
    #[error(
        "there is a connection pooler between here and the database, which gives wrong answers unless it is named: add \
         `?pooler=transaction` to the address, and name the database itself with --database-direct-url"
    )]
    Pooler,
    /// A database that is to take over another one's jobs has jobs of its own.
    #[error("the database is in use already, and cannot take over what another one has; name an empty one")]
    Occupied,
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
