//! How the worker gets a job's pictures: all of them lie in the store by then, see [`crate::fetchers`].

use crate::engine_process::SourceReader;
use afterimage_jobs::{Blobs, Failure, FailureKind, Job, Source};
use async_trait::async_trait;
use bytes::Bytes;

/// Reads stored pictures.
#[derive(Debug)]
pub struct Sources {
    blobs: Blobs,
}

impl Sources {
    /// Reads from `blobs`.
    pub const fn new(blobs: Blobs) -> Self {
        Self { blobs }
    }
}

#[async_trait]
impl SourceReader for Sources {
    async fn read(&self, job: &Job, source: &Source) -> Result<Bytes, Failure> {
        let Source::Blob { path } = source else {
            tracing::error!(job_id = %job.id, "a job was claimed before its pictures were fetched");
            return Err(Failure::new(FailureKind::Internal, "the picture was not fetched"));
        };
        match self.blobs.get(path).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => {
                tracing::error!(job_id = %job.id, "a picture of a job is not in the store");
                Err(about_image(FailureKind::SourceUnavailable, "the stored picture does not exist any more"))
            }
            Err(error) => {
                tracing::error!(%error, "a stored picture could not be read");
                Err(Failure::new(FailureKind::Storage, "the stored picture could not be read"))
            }
        }
    }
}

/// A failure that blames the request's picture.
pub fn about_image(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { field: Some("image".to_owned()), ..Failure::new(kind, message) }
}
