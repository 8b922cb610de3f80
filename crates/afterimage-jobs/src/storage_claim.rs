//! Whose files a storage holds.
//!
//! Files that no row points to are removed; by the rows of another database, that is all of them. So the storage is marked
//! with the database that its files belong to. A folder is locked besides while a server uses it; a bucket is not, since
//! any number of hosts may work on one database.

use crate::blobs::MARK;
use crate::data_folder::{create_private, lock_file};
use crate::{Blobs, Error, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Whether the files of a storage are its database's; of a folder also the proof that this process is the only server on it.
#[derive(Debug)]
pub struct StorageClaim {
    database: String,
    mark: Mark,
}

#[derive(Debug)]
enum Mark {
    File {
        path: PathBuf,
        // Holds the lock.
        _file: File,
    },
    Object(Blobs),
}

impl StorageClaim {
    /// Name of the file that holds the database's id, and of a folder the lock.
    pub const FILE_NAME: &str = MARK;

    /// Makes the folder if need be, locks it, and marks it as belonging to `database` (see
    /// [`crate::SettingsStore::database_id`]) unless it has a mark.
    ///
    /// # Errors
    /// [`Error::StorageInUse`] when another process holds it, [`Error::Unavailable`] when it cannot be made or written.
    pub fn acquire(folder: &Path, database: &str) -> Result<Self> {
        create_private(folder)?;
        let path = folder.join(Self::FILE_NAME);
        let file = lock_file(&path)?.ok_or_else(|| Error::StorageInUse { path: folder.to_owned() })?;
        let marked = std::fs::read_to_string(&path).and_then(|text| {
            if text.trim().is_empty() {
                (&file).write_all(format!("{database}\n").as_bytes())?;
                file.sync_all()?;
            }
            Ok(())
        });
        marked.map_err(|error| unavailable(&path, error))?;
        Ok(Self { database: database.to_owned(), mark: Mark::File { path, _file: file } })
    }

    /// Marks a storage that hosts share as belonging to `database` unless it has a mark. Should two databases come at once, the later mark
    /// stays, and [`StorageClaim::is_ours`] tells the other one.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn shared(blobs: &Blobs, database: &str) -> Result<Self> {
        if blobs.mark().await?.is_none() {
            blobs.set_mark(format!("{database}\n").into()).await?;
        }
        Ok(Self { database: database.to_owned(), mark: Mark::Object(blobs.clone()) })
    }

    /// Whether it is about a folder.
    pub const fn is_of_folder(&self) -> bool {
        matches!(self.mark, Mark::File { .. })
    }

    /// Whether the storage still has this database's mark. Without one (removed, another database's) nothing says that
    /// unknown files are not somebody's.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the mark is not there or cannot be read.
    pub async fn is_ours(&self) -> Result<bool> {
        let text = match &self.mark {
            Mark::File { path, .. } => std::fs::read(path).map_err(|error| unavailable(path, error))?,
            Mark::Object(blobs) => {
                let mark = blobs.mark().await?;
                mark.ok_or_else(|| Error::unavailable(format!("storage mark {self}"), "it was removed"))?.into()
            }
        };
        Ok(String::from_utf8_lossy(&text).trim() == self.database)
    }
}

impl fmt::Display for StorageClaim {
    /// Where the mark is.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mark {
            Mark::File { path, .. } => path.display().fmt(formatter),
            Mark::Object(blobs) => blobs.name_of(MARK).fmt(formatter),
        }
    }
}

fn unavailable(mark: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("storage mark {}", mark.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_database_keeps_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let storage = folder.path().join("deep").join("storage");
        let first = StorageClaim::acquire(&storage, "one").unwrap();
        assert!(first.is_ours().await.unwrap());
        assert!(matches!(StorageClaim::acquire(&storage, "two"), Err(Error::StorageInUse { .. })));
        assert!(matches!(StorageClaim::acquire(&storage, "one"), Err(Error::StorageInUse { .. })));
        drop(first);
        let second = StorageClaim::acquire(&storage, "two").unwrap();
        assert!(!second.is_ours().await.unwrap());
        drop(second);
        assert!(StorageClaim::acquire(&storage, "one").unwrap().is_ours().await.unwrap());
        // What an operator does to hand the folder over.
        std::fs::remove_file(storage.join(StorageClaim::FILE_NAME)).unwrap();
        let second = StorageClaim::acquire(&storage, "two").unwrap();
        assert!(second.is_ours().await.unwrap());
        std::fs::remove_file(storage.join(StorageClaim::FILE_NAME)).unwrap();
        assert!(second.is_ours().await.is_err(), "removed while in use");
    }

    #[tokio::test]
    async fn hosts_of_one_database_share_a_bucket() {
        let blobs = Blobs::memory();
        let first = StorageClaim::shared(&blobs, "one").await.unwrap();
        let beside = StorageClaim::shared(&blobs, "one").await.unwrap();
        assert!(first.is_ours().await.unwrap() && beside.is_ours().await.unwrap());
        assert!(!StorageClaim::shared(&blobs, "two").await.unwrap().is_ours().await.unwrap());
        blobs.set_mark("two".into()).await.unwrap();
        assert!(!first.is_ours().await.unwrap());
    }
}
