//! Whose files a storage folder holds.
//!
//! Files that no row points to are removed; by the rows of another database, that is all of them. So the folder is
//! locked while a server uses it, and marked with the database that its files belong to.

use crate::data_folder::{create_private, lock_file};
use crate::{Error, Result};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Proof that this process is the only server on a storage folder, and whether the files in it are its database's.
#[derive(Debug)]
pub struct StorageClaim {
    mark: PathBuf,
    database: String,
    // Holds the lock.
    _file: File,
}

impl StorageClaim {
    /// Name of the file that holds the database's id and the lock.
    pub const FILE_NAME: &str = "database-id";

    /// Makes the folder if need be, locks it, and marks it as belonging to `database` (see
    /// [`crate::SettingsStore::database_id`]) unless it has a mark.
    ///
    /// # Errors
    /// [`Error::StorageInUse`] when another process holds it, [`Error::Unavailable`] when it cannot be made or written.
    pub fn acquire(folder: &Path, database: &str) -> Result<Self> {
        create_private(folder)?;
        let mark = folder.join(Self::FILE_NAME);
        let file = lock_file(&mark)?.ok_or_else(|| Error::StorageInUse { path: folder.to_owned() })?;
        let marked = std::fs::read_to_string(&mark).and_then(|text| {
            if text.trim().is_empty() {
                (&file).write_all(format!("{database}\n").as_bytes())?;
                file.sync_all()?;
            }
            Ok(())
        });
        marked.map_err(|error| unavailable(&mark, error))?;
        Ok(Self { mark, database: database.to_owned(), _file: file })
    }

    /// The file with the mark.
    pub fn mark(&self) -> &Path {
        &self.mark
    }

    /// Whether the folder still has this database's mark. Without one (removed, another database's) nothing says that
    /// unknown files are not somebody's.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the mark is not there or cannot be read.
    pub fn is_ours(&self) -> Result<bool> {
        let text = std::fs::read_to_string(&self.mark).map_err(|error| unavailable(&self.mark, error))?;
        Ok(text.trim() == self.database)
    }
}

fn unavailable(mark: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("storage mark {}", mark.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_database_keeps_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let storage = folder.path().join("deep").join("storage");
        let first = StorageClaim::acquire(&storage, "one").unwrap();
        assert!(first.is_ours().unwrap());
        assert!(matches!(StorageClaim::acquire(&storage, "two"), Err(Error::StorageInUse { .. })));
        assert!(matches!(StorageClaim::acquire(&storage, "one"), Err(Error::StorageInUse { .. })));
        drop(first);
        let second = StorageClaim::acquire(&storage, "two").unwrap();
        assert!(!second.is_ours().unwrap());
        drop(second);
        assert!(StorageClaim::acquire(&storage, "one").unwrap().is_ours().unwrap());
        // What an operator does to hand the folder over.
        std::fs::remove_file(storage.join(StorageClaim::FILE_NAME)).unwrap();
        let second = StorageClaim::acquire(&storage, "two").unwrap();
        assert!(second.is_ours().unwrap());
        std::fs::remove_file(second.mark()).unwrap();
        assert!(second.is_ours().is_err(), "removed while in use");
    }
}
