//! A job's pictures: all of them lie in the store by the time that a worker takes the job.

use afterimage_jobs::{Blobs, Failure, FailureKind, Job, Source};
use bytes::Bytes;

/// The encoded files of `job`'s pictures, in their order. The future is dropped when the job is cancelled.
///
/// # Errors
/// What the job fails with.
pub(crate) async fn read_sources(blobs: &Blobs, job: &Job) -> Result<Vec<Bytes>, Failure> {
    let mut files = Vec::with_capacity(job.spec.sources.len());
    for source in &job.spec.sources {
        files.push(read(blobs, job, source).await?);
    }
    Ok(files)
}

async fn read(blobs: &Blobs, job: &Job, source: &Source) -> Result<Bytes, Failure> {
    let Source::Blob { path } = source else {
        tracing::error!(job_id = %job.id, "a job was claimed before its pictures were fetched");
        return Err(Failure::new(FailureKind::Internal, "the picture was not fetched"));
    };
    match blobs.get(path).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            tracing::error!(job_id = %job.id, "a picture of a job is not in the store");
            Err(Failure::about_image(FailureKind::SourceUnavailable, "the stored picture does not exist any more"))
        }
        Err(error) => {
            tracing::error!(job_id = %job.id, %error, "a stored picture could not be read");
            Err(Failure::new(FailureKind::Storage, "the stored picture could not be read"))
        }
    }
}
