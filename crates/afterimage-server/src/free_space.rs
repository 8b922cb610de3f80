//! How much room is left on the disks that the server writes to, and how much of it is kept.

use std::io;
use std::path::{Path, PathBuf};

/// Part of a disk that is kept free.
const KEPT_SHARE: u64 = 100;

/// Least and most that is kept free: enough for the database, its log and the results of running jobs.
const KEPT_BYTES: std::ops::RangeInclusive<u64> = (256 << 20)..=(2 << 30);

/// No more than this part of a small disk is kept free.
const LARGEST_KEPT_SHARE: u64 = 4;

/// A disk at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process may still write.
    pub free: u64,
    /// Bytes of the whole disk.
    pub total: u64,
}

impl Space {
    /// Bytes below which nothing new is accepted: one percent of the disk, at least 256 MiB and at most 2 GiB; of a disk
    /// smaller than a gigabyte a quarter.
    pub fn floor(&self) -> u64 {
        let wanted = (self.total / KEPT_SHARE).clamp(*KEPT_BYTES.start(), *KEPT_BYTES.end());
        wanted.min(self.total / LARGEST_KEPT_SHARE)
    }

    /// Whether `bytes` more leave what is to be kept.
    pub fn has_room_for(&self, bytes: u64) -> bool {
        self.free.saturating_sub(bytes) >= self.floor() && self.free >= bytes
    }
}

/// Reads how full the disk of a folder is; `None` where the platform does not tell.
pub type ReadSpace = dyn Fn(&Path) -> io::Result<Option<Space>> + Send + Sync;

/// The disks of some folders.
pub struct Disks {
    folders: Vec<(&'static str, PathBuf)>,
    read: Box<ReadSpace>,
}

impl std::fmt::Debug for Disks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Disks").field("folders", &self.folders).finish_non_exhaustive()
    }
}

impl Disks {
    /// The disks of these folders, each with the name that metrics call it by.
    pub fn of(folders: Vec<(&'static str, PathBuf)>) -> Self {
        Self::read_by(folders, Box::new(read))
    }

    /// The same with another reader.
    pub fn read_by(folders: Vec<(&'static str, PathBuf)>, read: Box<ReadSpace>) -> Self {
        Self { folders, read }
    }

    /// Every disk that can be read now.
    pub fn spaces(&self) -> Vec<(&'static str, Space)> {
        let read = |(name, folder): &(&'static str, PathBuf)| match (self.read)(folder) {
            Ok(space) => space.map(|space| (*name, space)),
            Err(error) => {
                // Whatever is wrong, writing there will tell.
                tracing::debug!(%error, folder = %folder.display(), "cannot tell how full the disk is");
                None
            }
        };
        self.folders.iter().filter_map(read).collect()
    }

    /// Whether every disk has room for `bytes` more.
    pub fn have_room_for(&self, bytes: u64) -> bool {
        self.spaces().iter().all(|(_, space)| space.has_room_for(bytes))
    }
}

/// Asks the operating system.
#[cfg(unix)]
fn read(folder: &Path) -> io::Result<Option<Space>> {
    let facts = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
    Ok(Some(Space { free: bytes(facts.f_bavail), total: bytes(facts.f_blocks) }))
}

#[cfg(not(unix))]
fn read(_folder: &Path) -> io::Result<Option<Space>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_fits_the_disk() {
        for (total, floor) in [
            (16 << 20, 4 << 20),
            (1 << 30, 256 << 20),
            (20 << 30, 256 << 20),
            (100 << 30, 1 << 30),
            (1 << 40, 2 << 30),
            (0, 0),
        ] {
            assert_eq!(Space { free: 0, total }.floor(), floor, "{total}");
        }
    }

    #[test]
    fn what_is_kept_is_not_given_away() {
        let space = Space { free: 300 << 20, total: 20 << 30 };
        assert!(space.has_room_for(44 << 20) && !space.has_room_for((44 << 20) + 1));
        assert!(!space.has_room_for(u64::MAX));
    }

    #[cfg(unix)]
    #[test]
    fn this_disk_can_be_read() {
        let space = read(&std::env::temp_dir()).unwrap().unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
        let disks = Disks::of(vec![("here", std::env::temp_dir()), ("nowhere", "/no/such/folder".into())]);
        assert_eq!(disks.spaces().len(), 1);
    }
}
