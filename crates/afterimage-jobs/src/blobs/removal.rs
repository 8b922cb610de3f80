//! Removing what belongs together.

use super::files::Blobs;
use super::paths::{INPUTS, RESULTS};
use crate::{JobId, Result, UploadId};

impl Blobs {
    /// Removes all files of a job.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn delete_job(&self, job: &JobId) -> Result<()> {
        for folder in [INPUTS, RESULTS] {
            for blob in self.list(&format!("{folder}/{job}")).await? {
                self.delete(&blob.path).await?;
            }
        }
        Ok(())
    }

    /// Removes the parts of an upload.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn delete_parts(&self, upload: &UploadId) -> Result<()> {
        for part in self.list(&Self::parts_path(upload)).await? {
            self.delete(&part.path).await?;
        }
        Ok(())
    }

    /// Removes an upload's file and parts.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn delete_upload(&self, upload: &UploadId) -> Result<()> {
        self.delete_parts(upload).await?;
        self.delete(&Self::upload_path(upload)).await
    }
}
