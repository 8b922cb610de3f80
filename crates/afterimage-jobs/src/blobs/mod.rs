//! Files of the queue: inputs, results, uploads.
//!
//! | path | written by |
//! |---|---|
//! | `inputs/<job>/<n>` | the dialect, before the submit; also what was uploaded or made before, so that its end is not the job's |
//! | `inputs/<job>/<n>-<fetch>` | whoever fetches, before the job may be claimed |
//! | `results/<job>/<attempt>/<hash>.<ext>` | the worker, before the job's end is recorded |
//! | `uploads/<id>/<random>.<ext>` | the upload routes; `uploads/<id>` by versions before buckets |
//! | `parts/<id>/<n>` | the same, for an upload that comes in parts, until it is complete |
//!
//! Attempt and content in a result's path keep a worker that lost its lease from overwriting what the winner stored;
//! so does the number of the fetch in an input's, and what is random in an upload's. So no store has to tell whether a file was
//! there before: the database says which one counts.
//! Nothing that a user typed is ever part of a path.

mod advice;
mod bucket;
mod bucket_url;
mod files;
mod hard_links;
mod local;
mod media_types;
mod moving;
mod named;
mod paths;
mod probe;
mod removal;
mod s3;

pub use bucket_url::BucketUrl;
pub use files::{Blobs, StoredBlob, StoredFile};
pub(crate) use paths::{BlobOwner, MARK, PARTS};
pub use s3::BucketCredentials;
