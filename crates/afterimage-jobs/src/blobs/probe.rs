//! Whether files can be kept.

use super::files::Blobs;
use crate::{Error, Result, UploadId};
use bytes::Bytes;

/// A file that counts as the part of an upload if it stays.
pub(super) struct Probe {
    upload: UploadId,
    path: String,
    content: Bytes,
}

impl Probe {
    pub(super) fn new() -> Self {
        let upload = UploadId::random();
        let content = Bytes::copy_from_slice(upload.as_str().as_bytes());
        Self { path: Blobs::part_path(&upload, 1), upload, content }
    }

    pub(super) async fn write(&self, blobs: &Blobs) -> Result<()> {
        blobs.put(&self.path, self.content.clone()).await
    }

    /// Finds it, reads it and removes it.
    pub(super) async fn read(self, blobs: &Blobs) -> Result<()> {
        let listed = blobs.list(&Blobs::parts_path(&self.upload)).await?;
        if listed.len() != 1 || blobs.get(&self.path).await? != Some(self.content) {
            return Err(Error::unavailable(self.path, "a file that was just written is not there, or is another one"));
        }
        blobs.delete(&self.path).await
    }
}

impl Blobs {
    /// Does what a server does.
    ///
    /// # Errors
    /// What it would meet.
    pub(crate) async fn probe(&self) -> Result<()> {
        let probe = Probe::new();
        probe.write(self).await?;
        probe.read(self).await
    }
}
