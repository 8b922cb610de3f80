//! The folder that holds the database and the files of one installation.

use crate::{Error, Result};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Makes a folder that only its owner may enter, with those above it.
pub(crate) fn create_private(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| Error::unavailable(format!("folder {}", path.display()), error))
}

/// Whether users other than its owner may enter a folder: one that was there before. It may be so on purpose, hence it
/// is not changed.
///
/// # Errors
/// When it is not there.
#[cfg(unix)]
pub fn is_open_to_others(folder: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(folder)?.permissions().mode() & 0o077 != 0)
}

/// Elsewhere access is not told by the folder alone, and this says no.
///
/// # Errors
/// When it is not there.
#[cfg(not(unix))]
pub fn is_open_to_others(folder: &Path) -> io::Result<bool> {
    std::fs::metadata(folder).map(|_| false)
}

/// Takes access from others to a file (600) or folder (700) of ours that was made before. One that is not there, or that
/// is somebody else's, stays as it is.
pub(crate) fn close_to_others(path: &Path) {
    #[cfg(unix)]
    {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
        let mode = metadata.permissions().mode();
        if !metadata.is_symlink() && mode & 0o077 != 0 {
            let closed = std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700));
            tracing::debug!(path = %path.display(), ?closed, "closed to other users");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Opens a file for its owner only, making it if need be.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens and locks a file; `None` when another process has locked it. The operating system gives the lock up when the
/// process ends, however it ends.
pub(crate) fn lock_file(path: &Path) -> Result<Option<File>> {
    let unavailable = |error| Error::unavailable(format!("lock file {}", path.display()), error);
    let file = open_private(path).map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

/// Proof that this process is the only server on a data folder.
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
        match lock_file(&folder.join("lock"))? {
            Some(file) => Ok(Self { folder: folder.to_owned(), _file: file }),
            None => Err(Error::DataFolderInUse { path: folder.to_owned() }),
        }
    }

    /// The locked folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Proof that this process is the only server on a database file, whatever name it goes by: the lock file of its folder
/// may have been removed, and the database may have a second name in another folder.
#[derive(Debug)]
pub struct DatabaseLock {
    // Holds the lock.
    _file: Option<File>,
}

impl DatabaseLock {
    /// Makes the file if need be and locks it. Programs that only work on keys do not, so they can run beside a server.
    ///
    /// To be taken before the database is opened and kept until it is closed: the database's own locks of a process go
    /// when it closes any handle on the file.
    ///
    /// # Errors
    /// [`Error::DatabaseInUse`] when another server holds it, [`Error::Unavailable`] when it cannot be made or written.
    pub fn acquire(database: &Path) -> Result<Self> {
        if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            create_private(folder)?;
        }
        // Elsewhere a lock on the whole file would be in the way of SQLite's own.
        if !cfg!(target_os = "linux") {
            return Ok(Self { _file: None });
        }
        let file = lock_file(database)?.ok_or_else(|| Error::DatabaseInUse { path: database.to_owned() })?;
        Ok(Self { _file: Some(file) })
    }
}
