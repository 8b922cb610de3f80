//! Where the files of a test are kept.

use afterimage_jobs::Blobs;
use std::fs::File;
use std::time::SystemTime;
use tempfile::TempDir;

/// Files, and what has to live as long as they do.
pub struct Place {
    pub blobs: Blobs,
    folder: Option<TempDir>,
}

impl Place {
    #[expect(clippy::unused_async, reason = "as the others")]
    pub async fn memory() -> Option<Self> {
        Some(Self { blobs: Blobs::memory(), folder: None })
    }

    #[expect(clippy::unused_async, reason = "as the others")]
    pub async fn folder() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        Some(Self { blobs: Blobs::local(&folder.path().join("blobs")).unwrap(), folder: Some(folder) })
    }

    /// Makes a file old, where files can be made so.
    pub fn make_old(&self, path: &str) {
        let Some(folder) = &self.folder else { return };
        let file = File::options().write(true).open(folder.path().join("blobs").join(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
}
