//! The database's file: how it is opened, and whether it is still the one that was opened.

use crate::data_folder::{close_to_others, open_private};
use crate::{Error, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Wait for another process's transaction (`keys create` beside a running server).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Log length at which a commit moves it into the database itself, should the checkpoint task fall behind: 40 MiB.
const LARGEST_LOG_PAGES: &str = "10240";

/// Connections that only read.
const READERS: u32 = 4;

/// How long a reader waits for a connection.
const READER_TIMEOUT: Duration = Duration::from_secs(5);

/// An existing database file.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    identity: Identity,
}

/// What tells a file from another one at the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl DatabaseFile {
    /// Makes the file, readable by its owner only, unless it is there. SQLite gives its log and index files the same
    /// permissions.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let unavailable = |error| Error::unavailable(format!("database {}", path.display()), error);
        // Closing any handle on a database gives up this process's locks on it, so an existing one is not opened.
        if !path.exists() {
            open_private(path).map_err(unavailable)?;
        }
        close_to_others(path);
        let identity = Identity::of(path).map_err(unavailable)?;
        Ok(Self { path: path.to_owned(), identity })
    }

    /// Whether the path still leads to the file that was opened. SQLite would go on writing to a deleted file, and
    /// what was acknowledged would be gone with the process.
    pub(super) fn check(&self) -> io::Result<()> {
        if Identity::of(&self.path)? == self.identity {
            return Ok(());
        }
        Err(io::Error::other("the database file was replaced while in use"))
    }

    /// A connection that may write.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        self.options().connect().await
    }

    /// Connections that only read.
    pub(super) fn readers(&self) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READER_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(self.options().pragma("query_only", "1"))
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode, NORMAL flushes at checkpoints only: a power cut would take acknowledged jobs.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("wal_autocheckpoint", LARGEST_LOG_PAGES)
            // What is deleted is overwritten: prompts and addresses must not outlive their jobs.
            .pragma("secure_delete", "ON")
            .disable_statement_logging()
    }
}

impl Identity {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path)?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }

    /// Elsewhere an open file cannot be replaced; its presence is enough.
    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|_| Self(0, 0))
    }
}
