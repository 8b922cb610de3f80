//! The folder that holds the database and the files of one installation.

use crate::{Error, Result};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Makes a folder that only its owner may enter, with those above it.
pub(crate) fn create_private(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| Error::unavailable(format!("folder {}", path.display()), error))
}

/// Proof that this process is the only server on a data folder. The operating system gives the lock up when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct DataFolderLock {
    folder: PathBuf,
    // Holds the lock.
    _file: File,
}

impl DataFolderLock {
    /// Makes the folder if need be and locks it.
    ///
    /// # Errors
    /// [`Error::DataFolderInUse`] when another process holds it, [`Error::Unavailable`] when it cannot be made or
    /// written.
    pub fn acquire(folder: &Path) -> Result<Self> {
        create_private(folder)?;
        let path = folder.join("lock");
        let unavailable = |error| Error::unavailable(format!("lock file {}", path.display()), error);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::DataFolderInUse { path: folder.to_owned() }),
            Err(TryLockError::Error(error)) => Err(unavailable(error)),
        }
    }

    /// The locked folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
