//! How old jobs, uploads and their files go.
//!
//! In three steps, each safe to repeat after a crash: the row is marked as deleted, its files are removed, the row is
//! forgotten. A job's inputs are its own, also where they were an upload or a result first: those may go before it. Files
//! that no row points to (a submit that failed after storing its inputs, a worker that lost its lease) are found by
//! looking through the files; what a fetcher left that died goes with its job.
//!
//! Marking needs room on the disk. When there is none, the files of what is due are removed first, which makes some.

use crate::blobs::{BlobOwner, PARTS};
use crate::{Blobs, Due, Error, Job, JobId, Result, Store, Timestamp, Upload, UploadId, UploadState};
use futures_util::TryStreamExt;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Rows per transaction. Keeps other writers waiting for milliseconds only.
const BATCH: u32 = 200;

/// Rows whose files are removed before the rows can be marked.
const LARGEST_RELIEF: u32 = 10_000;

/// Files without a row that are removed together, as many as a bucket removes with one request.
const ORPHANS_AT_ONCE: usize = 1_000;

/// How long parts of uploads wait for the rest: longer than their addresses take bytes.
const PARTS_KEPT: Duration = Duration::from_hours(2);

/// How long things are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Ended jobs with input and result; their idempotency keys go with them.
    pub jobs: Duration,
    /// Rows of deleted jobs, counted from the job's end, so that readers are told "gone" instead of "unknown".
    pub tombstones: Duration,
    /// Uploads, finished or not.
    pub uploads: Duration,
    /// Files without a row. Longer than any request or job needs between file and row.
    pub orphans: Duration,
}

impl Default for Retention {
    /// Seven days for jobs and uploads, thirty for tombstones, a day for orphans.
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Self { jobs: 7 * day, tombstones: 30 * day, uploads: 7 * day, orphans: day }
    }
}

impl Retention {
    fn due_jobs(&self, now: Timestamp) -> Due {
        Due { now, before: now.minus(self.jobs) }
    }

    fn due_uploads(&self, now: Timestamp) -> Due {
        Due { now, before: now.minus(self.uploads) }
    }
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs that were too old.
    pub expired_jobs: u64,
    /// Deleted jobs whose files were removed.
    pub swept_jobs: u64,
    /// Rows of deleted jobs that were forgotten.
    pub pruned_jobs: u64,
    /// Uploads that were removed, rows and files.
    pub uploads: u64,
    /// Files without a row that were removed.
    pub orphans: u64,
}

/// Removes what is too old at `now`, and the files of whatever was deleted before. When the store cannot write, as on a
/// full disk, files go first.
///
/// # Errors
/// [`Error::Unavailable`]; what was done stays done.
pub async fn sweep(store: &dyn Store, blobs: &Blobs, retention: &Retention, now: Timestamp) -> Result<Swept> {
    let refused = match sweep_rows(store, blobs, retention, now).await {
        Err(error @ Error::Unavailable { .. }) => error,
        outcome => return outcome,
    };
    if remove_due_files(store, blobs, retention, now).await? == 0 {
        return Err(refused);
    }
    tracing::warn!(error = %refused, "old files were removed before their rows, to make room");
    sweep_rows(store, blobs, retention, now).await
}

async fn sweep_rows(store: &dyn Store, blobs: &Blobs, retention: &Retention, now: Timestamp) -> Result<Swept> {
    let mut swept = Swept::default();
    loop {
        let expired = store.expire_jobs(retention.due_jobs(now), BATCH).await?.len();
        swept.expired_jobs += expired as u64;
        if expired == 0 {
            break;
        }
    }
    loop {
        let deleted = store.unswept_jobs(BATCH).await?;
        if deleted.is_empty() {
            break;
        }
        blobs.delete_jobs(&deleted).await?;
        store.mark_jobs_swept(&deleted).await?;
        swept.swept_jobs += deleted.len() as u64;
    }
    loop {
        let pruned = store.prune_jobs(now.minus(retention.tombstones), BATCH).await?;
        swept.pruned_jobs += pruned;
        if pruned == 0 {
            break;
        }
    }
    while store.expire_uploads(retention.due_uploads(now), BATCH).await? > 0 {}
    loop {
        let expired = store.unswept_uploads(BATCH).await?;
        if expired.is_empty() {
            return Ok(swept);
        }
        blobs.delete_uploads(&expired).await?;
        store.forget_uploads(&expired).await?;
        swept.uploads += expired.len() as u64;
    }
}

/// Removes the files of whatever is due, marked or not, and writes nothing; returns how many rows had some. A row that
/// is due may still be found for a moment after its file has gone, which readers are told of as of any file that is
/// gone; a disk that stays full would be worse.
async fn remove_due_files(store: &dyn Store, blobs: &Blobs, retention: &Retention, now: Timestamp) -> Result<u64> {
    let uploads = store.due_uploads(retention.due_uploads(now), LARGEST_RELIEF).await?;
    let jobs = store.due_jobs(retention.due_jobs(now), LARGEST_RELIEF).await?;
    let uploads = [uploads, store.unswept_uploads(LARGEST_RELIEF).await?].concat();
    let jobs = [jobs, store.unswept_jobs(LARGEST_RELIEF).await?].concat();
    for batch in uploads.chunks(BATCH as usize) {
        blobs.delete_uploads(batch).await?;
    }
    for batch in jobs.chunks(BATCH as usize) {
        blobs.delete_jobs(batch).await?;
    }
    Ok((uploads.len() + jobs.len()) as u64)
}

/// Removes files older than [`Retention::orphans`] that no row points to or that were never finished; returns how many.
/// Reads the rows of all such files: for quiet hours.
///
/// # Errors
/// [`crate::Error::Unavailable`]; what was done stays done.
pub async fn sweep_orphans(store: &dyn Store, blobs: &Blobs, retention: &Retention, now: Timestamp) -> Result<u64> {
    let before = now.minus(retention.orphans);
    let mut removed = blobs.remove_unfinished(before).await?;
    for folder in BlobOwner::FOLDERS {
        let before = if folder == PARTS { before.max(now.minus(PARTS_KEPT)) } else { before };
        let mut files = blobs.listing(folder)?;
        let mut old = Vec::new();
        while let Some(file) = files.try_next().await? {
            if file.modified_at < before {
                old.push(file.path);
            }
            if old.len() == ORPHANS_AT_ONCE {
                removed += remove_orphans(store, blobs, std::mem::take(&mut old)).await?;
            }
        }
        removed += remove_orphans(store, blobs, old).await?;
    }
    Ok(removed)
}

/// Removes those of `paths` that no row points to.
async fn remove_orphans(store: &dyn Store, blobs: &Blobs, mut paths: Vec<String>) -> Result<u64> {
    let owners = Owners::of(store, &paths).await?;
    paths.retain(|path| !owners.want(path));
    let removed = paths.len() as u64;
    blobs.delete_all(paths).await?;
    Ok(removed)
}

/// The rows that some files belong to.
struct Owners {
    jobs: HashMap<JobId, Job>,
    uploads: HashMap<UploadId, Upload>,
}

impl Owners {
    async fn of(store: &dyn Store, paths: &[String]) -> Result<Self> {
        let (mut jobs, mut uploads) = (HashSet::new(), HashSet::new());
        for owner in paths.iter().filter_map(|path| BlobOwner::of(path)) {
            match owner {
                BlobOwner::Input(job) | BlobOwner::Result(job) => drop(jobs.insert(job)),
                BlobOwner::Upload(upload) => drop(uploads.insert(upload)),
                BlobOwner::Part => {}
            }
        }
        let mut owners = Self { jobs: HashMap::new(), uploads: HashMap::new() };
        // Fewer than files: whole rows come, with what each job was asked for.
        for batch in Vec::from_iter(jobs).chunks(BATCH as usize) {
            owners.jobs.extend(store.jobs(batch).await?.into_iter().map(|job| (job.id.clone(), job)));
        }
        for batch in Vec::from_iter(uploads).chunks(BATCH as usize) {
            owners.uploads.extend(store.uploads(batch).await?.into_iter().map(|upload| (upload.id.clone(), upload)));
        }
        Ok(owners)
    }

    fn want(&self, path: &str) -> bool {
        match BlobOwner::of(path) {
            Some(BlobOwner::Input(job)) => self.jobs.get(&job).is_some_and(|job| !job.deleted),
            Some(BlobOwner::Result(job)) => self.jobs.get(&job).is_some_and(|job| may_need_result(job, path)),
            Some(BlobOwner::Upload(upload)) => {
                self.uploads.get(&upload).is_some_and(|upload| may_need_upload(upload, path))
            }
            // What is looked at is too old to be completed.
            Some(BlobOwner::Part) => false,
            None => true,
        }
    }
}

/// A running job may be about to point to the file.
fn may_need_result(job: &Job, path: &str) -> bool {
    if !job.state.is_terminal() {
        return true;
    }
    job.result.as_ref().is_some_and(|result| result.files.iter().any(|file| file.blob == path))
}

/// A pending upload may be about to point to the file. Of a complete one others lie there where a process that took the same
/// bytes did not live to remove its own.
fn may_need_upload(upload: &Upload, path: &str) -> bool {
    match &upload.state {
        UploadState::Pending => true,
        UploadState::Ready(facts) => facts.blob == path,
    }
}
