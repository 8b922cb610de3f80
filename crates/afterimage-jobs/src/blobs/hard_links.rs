//! The age of files that have several names.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// Makes a file as young as a new one; false when there is none. A hard link has the age of its first name, and whoever
/// looks for orphans would take a young one of an old upload for left behind.
pub(super) async fn touch(path: PathBuf) -> io::Result<bool> {
    let touched = tokio::task::spawn_blocking(move || {
        match File::options().write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?.set_modified(SystemTime::now())?,
        }
        Ok(true)
    });
    touched.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
