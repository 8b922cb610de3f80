//! Files that a process was killed amid writing.
//!
//! The local store writes to a name with `#` and a number at its end and renames when the content is on disk. What a
//! crash leaves under such a name is in no listing of the store, so it has to be looked for in the folder itself.

use crate::{Error, Result, Timestamp};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Removes unfinished files under `folders` that were last written before `before`, and folders without any file that are as
/// old; returns how many files.
pub(crate) async fn remove(folders: Vec<PathBuf>, before: Timestamp) -> Result<u64> {
    let walk = move || folders.iter().map(|folder| remove_under(folder, before)).sum::<io::Result<u64>>();
    let walked = tokio::task::spawn_blocking(walk).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    walked.map_err(|error| Error::unavailable("unfinished files", error))
}

fn remove_under(folder: &Path, before: Timestamp) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        // Folders come with their first file and go with their last.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            removed += remove_under(&entry.path(), before)?;
            // What could not be written leaves the folder that was made for it. One with files in it stays.
            if is_older(&entry, before)? {
                let _ = fs::remove_dir(entry.path());
            }
        } else if is_unfinished(&entry.file_name().to_string_lossy()) && is_older(&entry, before)? {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// None of our own names has the sign.
fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_older(entry: &fs::DirEntry, before: Timestamp) -> io::Result<bool> {
    let modified = match entry.metadata() {
        // Its writer was only slow, and has finished just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata?.modified()?,
    };
    let milliseconds = modified.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as i64);
    Ok(milliseconds < before.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_old_unfinished_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("results/job/1");
        fs::create_dir_all(&deep).unwrap();
        for name in ["a.png", "a.png#1", "b.png#27", "c#", "d#1x"] {
            fs::write(deep.join(name), b"x").unwrap();
        }
        let folders = vec![folder.path().join("results"), folder.path().join("uploads")];
        let empty = folder.path().join("results/empty");
        fs::create_dir(&empty).unwrap();
        assert_eq!(remove(folders.clone(), Timestamp(0)).await.unwrap(), 0);
        assert!(empty.exists());
        assert_eq!(remove(folders, Timestamp(i64::MAX)).await.unwrap(), 2);
        assert!(!empty.exists());
        let mut left: Vec<_> = fs::read_dir(&deep).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.png", "c#", "d#1x"]);
    }
}
