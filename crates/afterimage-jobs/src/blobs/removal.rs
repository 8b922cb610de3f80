//! Removing what belongs together.

use super::files::{BlobPlace, Blobs};
use super::paths::{INPUTS, RESULTS, UPLOADS};
use crate::{JobId, Result, UploadId};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::slice;

/// Folders that are looked into at once.
const LISTED_AT_ONCE: usize = 8;

impl Blobs {
    /// Removes all files of a job.
    ///
    /// # Errors
    /// [`crate::Error::BlobPath`], [`crate::Error::Unavailable`].
    pub async fn delete_job(&self, job: &JobId) -> Result<()> {
        self.delete_jobs(slice::from_ref(job)).await
    }

    /// Removes all files of jobs.
    ///
    /// # Errors
    /// [`crate::Error::BlobPath`], [`crate::Error::Unavailable`]; what was removed stays so.
    pub async fn delete_jobs(&self, jobs: &[JobId]) -> Result<()> {
        let folders = jobs.iter().flat_map(|job| [INPUTS, RESULTS].map(|folder| format!("{folder}/{job}")));
        self.delete_all(self.files_of(folders.collect()).await?).await
    }

    /// Removes the parts of an upload.
    ///
    /// # Errors
    /// [`crate::Error::BlobPath`], [`crate::Error::Unavailable`].
    pub async fn delete_parts(&self, upload: &UploadId) -> Result<()> {
        self.delete_all(self.files_of(vec![Self::parts_path(upload)]).await?).await
    }

    /// Removes the files and parts of uploads.
    ///
    /// # Errors
    /// [`crate::Error::BlobPath`], [`crate::Error::Unavailable`]; what was removed stays so.
    pub async fn delete_uploads(&self, uploads: &[UploadId]) -> Result<()> {
        let folders = uploads.iter().flat_map(|upload| [Self::uploads_path(upload), Self::parts_path(upload)]);
        let mut files = self.files_of(folders.collect()).await?;
        for upload in uploads {
            // Earlier versions kept an upload's file where its folder is now.
            let path = format!("{UPLOADS}/{upload}");
            if !matches!(self.place(), BlobPlace::Folder(_)) || self.length(&path).await?.is_some() {
                files.push(path);
            }
        }
        self.delete_all(files).await
    }

    /// Every file in some folders.
    async fn files_of(&self, folders: Vec<String>) -> Result<Vec<String>> {
        let listed = stream::iter(folders).map(|folder| async move { self.list(&folder).await });
        let listed: Vec<_> = listed.buffer_unordered(LISTED_AT_ONCE).try_collect().await?;
        Ok(listed.into_iter().flatten().map(|file| file.path).collect())
    }
}
