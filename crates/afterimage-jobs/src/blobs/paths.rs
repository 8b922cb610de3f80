//! What paths of blobs look like: which are ours, and whose.

use crate::{Error, JobId, Result, UploadId};
use object_store::path::Path as BlobPath;

pub(super) const INPUTS: &str = "inputs";
pub(super) const RESULTS: &str = "results";
pub(super) const UPLOADS: &str = "uploads";
pub(crate) const PARTS: &str = "parts";

/// Name of the file that tells whose the files beside it are; see [`crate::StorageClaim`].
pub(crate) const MARK: &str = "database-id";

/// Who a blob belongs to, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlobOwner {
    /// One of a job's inputs.
    Input(JobId),
    /// One of a job's results, wanted or not.
    Result(JobId),
    /// An upload.
    Upload(UploadId),
    /// A part of one that is not complete.
    Part,
}

impl BlobOwner {
    /// `None` for a path that is not ours to judge.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        match (parts.next()?, parts.next()?) {
            (INPUTS, job) => JobId::parse(job).map(Self::Input),
            (RESULTS, job) => JobId::parse(job).map(Self::Result),
            (UPLOADS, upload) => UploadId::parse(upload).map(Self::Upload),
            (PARTS, upload) => UploadId::parse(upload).map(|_| Self::Part),
            _ => None,
        }
    }

    /// Every folder that holds blobs.
    pub(crate) const FOLDERS: [&str; 4] = [INPUTS, RESULTS, UPLOADS, PARTS];
}

/// Refuses what none of the path functions makes, so that a slip elsewhere cannot reach other files.
pub(super) fn checked(path: &str) -> Result<BlobPath> {
    let refused = || Error::BlobPath { path: path.chars().take(100).collect() };
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'.'))
    };
    if !BlobOwner::FOLDERS.contains(&parts[0]) || !parts.iter().all(plain) {
        return Err(refused());
    }
    BlobPath::parse(path).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blobs, FetchLease, Lease, WorkerId};
    use afterimage_core::OutputFormat;

    #[test]
    fn only_our_own_paths_pass() {
        let lease = Lease { job: JobId::random(), attempt: 2, worker: WorkerId::random() };
        for path in [
            Blobs::input_path(&lease.job, 0),
            Blobs::fetched_path(&FetchLease { job: lease.job.clone(), number: 3 }, 1),
            Blobs::result_path(&lease, &Blobs::sha256(b"x"), OutputFormat::Jpeg),
            Blobs::new_upload_path(&UploadId::random(), "image/png"),
            Blobs::part_path(&UploadId::random(), 1000),
        ] {
            assert_eq!(checked(&path).unwrap().to_string(), path);
        }
        for path in [
            "",
            "/",
            "uploads/../afterimage.sqlite",
            "../inputs/x",
            "/etc/passwd",
            "uploads//x",
            "uploads/.x",
            "uploads/a\\b",
            "uploads/a%2fb",
            "uploads/a\0",
            "other/x",
            "uploads/C:",
            "uploads/ü",
        ] {
            assert!(matches!(checked(path), Err(Error::BlobPath { .. })), "{path}");
        }
    }

    #[test]
    fn paths_tell_their_owner() {
        let job = JobId::random();
        assert_eq!(BlobOwner::of(&Blobs::input_path(&job, 3)), Some(BlobOwner::Input(job)));
        assert_eq!(BlobOwner::of("results/not-an-id/1/x.png"), None);
    }
}
