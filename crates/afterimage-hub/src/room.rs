//! Whether the disk has room for what is missing.

use crate::error::HubError;
use std::path::Path;

/// Refuses to begin what cannot be ended: `bytes` more in the cache `folder`, which need not exist yet.
pub(crate) fn check_room(folder: &Path, bytes: u64) -> Result<(), HubError> {
    let Some(free) = free_bytes(folder) else { return Ok(()) };
    if bytes <= free {
        return Ok(());
    }
    let problem =
        format!("{} are needed, {} are free; HF_HUB_CACHE names another folder", gigabytes(bytes), gigabytes(free));
    Err(HubError::Room { path: folder.to_path_buf(), problem })
}

/// Bytes that may still be written there; nothing where the system does not tell.
#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().find(|folder| folder.is_dir())?;
    let disk = rustix::fs::statvfs(existing).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

/// `23.8 GB`; below one gigabyte in MB.
pub fn gigabytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1000.0 { format!("{megabytes:.1} MB") } else { format!("{:.1} GB", megabytes / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_disk_has_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("not/there/yet");
        assert!(check_room(&cache, 0).is_ok());
        if cfg!(unix) {
            let message = check_room(&cache, u64::MAX).unwrap_err().to_string();
            assert!(message.contains("are needed") && message.contains("are free"), "{message}");
        }
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!([gigabytes(1_500_000), gigabytes(23_802_816_640)], ["1.5 MB", "23.8 GB"]);
    }
}
