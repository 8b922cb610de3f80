//! Files in a folder of this machine.

use super::files::{BlobPlace, Blobs};
use super::paths::BlobOwner;
use crate::data_folder::{close_to_others, create_private};
use crate::{Error, Result, Timestamp, unfinished};
use object_store::local::LocalFileSystem;
use std::path::Path;
use std::sync::Arc;

impl Blobs {
    /// Files in a local folder that only its owner may enter; made unless it is there. One that was there may be open to
    /// others, the folders of ours in it are closed. A write is on disk, name and content, when [`Blobs::put`] returns.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the folder cannot be made.
    pub fn local(folder: &Path) -> Result<Self> {
        create_private(folder)?;
        for name in BlobOwner::FOLDERS {
            close_to_others(&folder.join(name));
        }
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| Error::unavailable(format!("folder {}", folder.display()), error))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self::over(Arc::new(store), BlobPlace::Folder(folder.into())))
    }

    /// Removes what processes were killed amid writing before `before`; returns how many files. Only local files can
    /// be unfinished.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn remove_unfinished(&self, before: Timestamp) -> Result<u64> {
        let BlobPlace::Folder(folder) = self.place() else { return Ok(0) };
        unfinished::remove(BlobOwner::FOLDERS.map(|name| folder.join(name)).into(), before).await
    }
}
