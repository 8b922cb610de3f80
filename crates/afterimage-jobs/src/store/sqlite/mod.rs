//! The store in one SQLite file.
//!
//! One connection writes (see [`writer`]), a few read. The state machine of `crate::state` decides every transition;
//! [`transition`] reads a job's state, asks it, and writes the answer on condition that nothing changed meanwhile.

mod checkpoints;
mod claim;
mod fetches;
mod file;
mod jobs;
mod keys;
mod listing;
mod migrations;
mod outbox;
mod retention;
mod rows;
mod settings;
mod submit;
mod transition;
mod turns;
mod uploads;
mod writer;

use crate::data_folder::create_private;
use crate::{Clock, DataFolderLock, Error, JobId, Result};
use file::DatabaseFile;
use sqlx::{Connection, SqlitePool};
use std::path::Path;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;
use writer::Writer;

/// Jobs, keys, uploads, webhooks and settings in one SQLite file. Clones share it.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    // Ends with the last clone.
    _checkpoints: Arc<AbortOnDropHandle<()>>,
}

impl SqliteStore {
    /// The file's name in a data folder.
    pub const FILE_NAME: &str = "afterimage.sqlite";

    /// Opens the database in a data folder, making both unless they are there, and brings its schema up to date.
    /// Several processes may do so; only the one with the folder's [`DataFolderLock`] may run workers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the folder or file cannot be made, read or written, is no database, or was written
    /// by a newer version.
    pub async fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_file(&folder.join(Self::FILE_NAME), clock).await
    }

    /// The same for a database file of any name; its folder is made unless it is there.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_file(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            create_private(folder)?;
        }
        let file = DatabaseFile::create(path)?;
        let mut connection = file.connect().await.map_err(unavailable)?;
        // The transaction keeps two processes from migrating at once.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
        migrations::run(&mut transaction).await?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(Self {
            readers: file.readers(),
            _checkpoints: Arc::new(checkpoints::start(file.clone())),
            writer: Writer::start(file, connection, clock),
        })
    }

    /// Treats every running job as one whose worker died, and webhooks on their way as not sent; returns the jobs. To
    /// be called before workers start: the lock proves that every process that could hold a lease has ended, so nobody
    /// has to wait for leases to run out.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn expire_leases(&self, _lock: &DataFolderLock) -> Result<Vec<JobId>> {
        self.writer.write(|connection, now| Box::pin(transition::expire_leases(connection, now))).await
    }

    /// Ends the readers' connections. The writer's ends with the last clone of the store.
    pub async fn close(&self) {
        self.readers.close().await;
    }
}

/// Whatever goes wrong below is a reason to come back later; the log has the details.
fn unavailable(error: sqlx::Error) -> Error {
    Error::unavailable("database", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyStore, NewKey, Secret, SystemClock};

    /// SQLite's own limit on the file stands in for a full disk: the same error, at the same places.
    #[tokio::test]
    async fn a_full_disk_refuses_and_keeps_what_was_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
        limit_pages(&store, 60).await;
        let large_key = |number: usize| NewKey {
            name: "x".repeat(20_000),
            secret: Some(Secret::new(format!("secret number {number}"))),
            ..NewKey::default()
        };
        let mut acknowledged = 0;
        let refusal = loop {
            match store.create_key(large_key(acknowledged)).await {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refusal, Error::Unavailable { .. }), "{refusal}");
        assert!(refusal.to_string().contains("full"), "{refusal}");
        assert_eq!(store.keys().await.unwrap().len(), acknowledged);
        limit_pages(&store, 1 << 20).await;
        store.create_key(large_key(acknowledged)).await.unwrap();
        assert_eq!(store.keys().await.unwrap().len(), acknowledged + 1);
    }

    async fn limit_pages(store: &SqliteStore, pages: u32) {
        store
            .writer
            .write(move |connection, _| {
                Box::pin(async move {
                    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
                    sqlx::query(limit).execute(connection).await.map_err(unavailable)?;
                    Ok(())
                })
            })
            .await
            .unwrap();
    }
}
