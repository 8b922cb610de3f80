//! The store in one SQLite file.
//!
//! One connection writes (see [`writer`]), a few read. The state machine of `crate::state` decides every transition;
//! [`transition`] reads a job's state, asks it, and writes the answer on condition that nothing changed meanwhile.

mod activity;
mod checkpoints;
mod claim;
mod day_sums;
mod due;
mod error;
mod fetches;
mod file;
mod jobs;
mod keys;
mod listing;
mod migrations;
mod outbox;
mod retention;
mod row;
mod settings;
mod submit;
mod transition;
mod turns;
mod unreadable;
mod upkeep;
mod uploads;
mod usage;
mod writer;

use crate::data_folder::create_private;
use crate::store::sql::rows;
use crate::{Clock, DataFolderLock, JobId, Result};
use checkpoints::Checkpoints;
use error::unavailable;
use file::DatabaseFile;
use sqlx::{Connection, SqlitePool};
use std::path::Path;
use std::sync::Arc;
use writer::Writer;

/// Jobs, keys, uploads, webhooks and settings in one SQLite file. Clones share it.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    checkpoints: Checkpoints,
}

impl SqliteStore {
    /// The file's name in a data folder.
    pub const FILE_NAME: &str = "afterimage.sqlite";

    /// Opens the database in a data folder, making both unless they are there, and brings its schema up to date.
    /// Several processes may do so; only the one with the folder's [`DataFolderLock`] may run workers.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when the folder or file cannot be made, read or written, is no database, or was written
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
            checkpoints: Checkpoints::start(file.clone()),
            writer: Writer::start(file, connection, clock),
        })
    }

    /// Treats every running job as one whose worker died, and webhooks on their way as not sent; returns the jobs. To
    /// be called before workers start: the lock proves that every process that could hold a lease has ended, so nobody
    /// has to wait for leases to run out.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn expire_leases(&self, _lock: &DataFolderLock) -> Result<Vec<JobId>> {
        self.writer.write(|connection, now| Box::pin(transition::expire_leases(connection, now))).await
    }

    /// Jobs with what belongs to them, after a number.
    pub(in crate::store) const JOBS_TO_MOVE: &str =
        rows::select_jobs!("WHERE jobs.seq > ?1 ORDER BY jobs.seq LIMIT ?2");

    /// Rows as they are, for moving them elsewhere; `?1` and `?2` in the statement are `first` and `most`.
    pub(in crate::store) async fn rows_of(
        &self,
        statement: &'static str,
        first: i64,
        most: i64,
    ) -> Result<Vec<sqlx::sqlite::SqliteRow>> {
        let mut query = sqlx::query(statement);
        for (place, value) in [("?1", first), ("?2", most)] {
            if statement.contains(place) {
                query = query.bind(value);
            }
        }
        query.fetch_all(&self.readers).await.map_err(unavailable)
    }

    /// Ends the readers' connections. The writer's ends with the last clone of the store.
    pub async fn close(&self) {
        self.readers.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::retention::{Retention, sweep};
    use crate::{
        Blobs, KeyStore, ManualClock, NewKey, NewUpload, Secret, SystemClock, Timestamp, Upkeep, UploadFacts, UploadId,
        UploadStore,
    };
    use std::time::Duration;

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

    /// Files that are due go although no row can be changed: on a full disk, that makes the room for changing them.
    #[tokio::test]
    async fn old_files_go_before_rows_that_cannot_be_changed() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let store = SqliteStore::open(folder.path(), clock).await.unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        let (key, _) = store.create_key(NewKey::default()).await.unwrap();
        let mut paths = Vec::new();
        for number in 0..500 {
            let id = UploadId::random();
            let blob = Blobs::new_upload_path(&id, "image/png");
            blobs.put(&blob, bytes::Bytes::from_static(b"x")).await.unwrap();
            paths.push(blob.clone());
            let facts = UploadFacts { blob, content_type: "image/png".to_owned(), bytes: 1, width: 1, height: 1 };
            // One of them is to stay.
            let kept_for = (number > 0).then_some(Duration::from_mins(1));
            let (filename, declared_type) = (String::new(), String::new());
            let key = key.id.clone();
            store
                .create_upload(NewUpload { id, key, filename, declared_type, facts: Some(facts), kept_for })
                .await
                .unwrap();
        }
        // A copy in its place can be read, but is not written to.
        store.forget_deleted().await.unwrap();
        let (name, away) = (folder.path().join(SqliteStore::FILE_NAME), folder.path().join("away"));
        std::fs::rename(&name, &away).unwrap();
        std::fs::copy(&away, &name).unwrap();
        let later = Timestamp(61_000);
        let refused = sweep(&store, &blobs, &Retention::default(), later).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
        assert!(store.check_writable().await.is_err());
        assert!(blobs.get(&paths[0]).await.unwrap().is_some());
        for path in &paths[1..] {
            assert_eq!(blobs.get(path).await.unwrap(), None);
        }
        std::fs::rename(&away, &name).unwrap();
        let store = SqliteStore::open(folder.path(), Arc::new(ManualClock::at(later))).await.unwrap();
        store.check_writable().await.unwrap();
        assert_eq!(sweep(&store, &blobs, &Retention::default(), later).await.unwrap().uploads, 499);
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
