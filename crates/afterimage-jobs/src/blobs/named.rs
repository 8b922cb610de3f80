//! The path of each kind of file.

use super::files::Blobs;
use super::media_types::ending;
use super::paths::{INPUTS, PARTS, RESULTS, UPLOADS};
use crate::{FetchLease, JobId, Lease, UploadId};
use afterimage_core::OutputFormat;
use uuid::Uuid;

impl Blobs {
    /// Path of a job's `number`th input.
    pub fn input_path(job: &JobId, number: usize) -> String {
        format!("{INPUTS}/{job}/{number}")
    }

    /// Path of a job's `number`th input that was fetched under `lease`.
    pub fn fetched_path(lease: &FetchLease, number: usize) -> String {
        format!("{INPUTS}/{}/{number}-{}", lease.job, lease.number)
    }

    /// Path of a result that was made under `lease` and has this SHA-256 in hexadecimal.
    pub fn result_path(lease: &Lease, sha256: &str, format: OutputFormat) -> String {
        format!("{RESULTS}/{}/{}/{sha256}.{}", lease.job, lease.attempt, format.extension())
    }

    /// A path for an upload of that type that no other call gives: of two who send the same upload, each stores a file of
    /// its own, and the database says whose counts.
    pub fn new_upload_path(upload: &UploadId, media_type: &str) -> String {
        format!("{}/{}.{}", Self::uploads_path(upload), Uuid::new_v4().simple(), ending(media_type))
    }

    /// Folder of an upload's file.
    pub(super) fn uploads_path(upload: &UploadId) -> String {
        format!("{UPLOADS}/{upload}")
    }

    /// Path of the `number`th part of an upload that comes in parts.
    pub fn part_path(upload: &UploadId, number: u32) -> String {
        format!("{}/{number}", Self::parts_path(upload))
    }

    /// Folder of the parts of an upload.
    pub fn parts_path(upload: &UploadId) -> String {
        format!("{PARTS}/{upload}")
    }
}
