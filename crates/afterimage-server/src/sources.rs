//! How the worker gets a job's pictures.

use crate::engine_process::SourceReader;
use crate::fetch::{FetchError, Fetcher};
use afterimage_jobs::{Blobs, Failure, FailureKind, Job, Source};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

/// Reads stored pictures from the blobs, and fetches the others by the rules for addresses.
#[derive(Debug)]
pub struct Sources {
    blobs: Blobs,
    fetcher: Arc<Fetcher>,
}

impl Sources {
    /// Reads from `blobs` and through `fetcher`.
    pub const fn new(blobs: Blobs, fetcher: Arc<Fetcher>) -> Self {
        Self { blobs, fetcher }
    }
}

#[async_trait]
impl SourceReader for Sources {
    async fn read(&self, _job: &Job, source: &Source) -> Result<Bytes, Failure> {
        match source {
            Source::Blob { path } => match self.blobs.get(path).await {
                Ok(Some(bytes)) => Ok(bytes),
                Ok(None) => {
                    Err(about_image(FailureKind::SourceUnavailable, "the stored picture does not exist any more"))
                }
                Err(error) => {
                    tracing::error!(%error, "a stored picture could not be read");
                    Err(Failure::new(FailureKind::Storage, "the stored picture could not be read"))
                }
            },
            Source::Url { url } => self.fetcher.fetch_picture(url).await.map_err(|error| failure(&error)),
        }
    }
}

fn failure(error: &FetchError) -> Failure {
    about_image(FailureKind::SourceUnavailable, error.to_string())
}

fn about_image(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { field: Some("image".to_owned()), ..Failure::new(kind, message) }
}
