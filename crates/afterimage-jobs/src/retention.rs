//! How old jobs, uploads and their files go.
//!
//! In three steps, each safe to repeat after a crash: the row is marked as deleted, its files are removed, the row is
//! forgotten. A job's inputs are its own, also where they were an upload or a result first: those may go before it. Files
//! that no row points to (a submit that failed after storing its inputs, a worker that lost its lease) are found by
//! looking through the files; what a fetcher left that died goes with its job.

use crate::blobs::{BlobOwner, PARTS};
use crate::{Blobs, Job, Result, Store, Timestamp};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Rows per transaction. Keeps other writers waiting for milliseconds only.
const BATCH: u32 = 200;

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

/// Removes what is too old at `now`, and the files of whatever was deleted before.
///
/// # Errors
/// [`crate::Error::Unavailable`]; what was done stays done.
pub async fn sweep(store: &dyn Store, blobs: &Blobs, retention: &Retention, now: Timestamp) -> Result<Swept> {
    let mut swept = Swept::default();
    loop {
        let expired = store.expire_jobs(now.minus(retention.jobs), BATCH).await?.len();
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
        for job in &deleted {
            blobs.delete_job(job).await?;
        }
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
    while store.expire_uploads(now.minus(retention.uploads), BATCH).await? > 0 {}
    loop {
        let expired = store.unswept_uploads(BATCH).await?;
        if expired.is_empty() {
            return Ok(swept);
        }
        for upload in &expired {
            blobs.delete_upload(upload).await?;
        }
        store.forget_uploads(&expired).await?;
        swept.uploads += expired.len() as u64;
    }
}

/// Removes files older than [`Retention::orphans`] that no row points to or that were never finished; returns how many.
/// Reads the row of every such file: for quiet hours.
///
/// # Errors
/// [`crate::Error::Unavailable`]; what was done stays done.
pub async fn sweep_orphans(store: &dyn Store, blobs: &Blobs, retention: &Retention, now: Timestamp) -> Result<u64> {
    let before = now.minus(retention.orphans);
    let mut removed = blobs.remove_unfinished(before).await?;
    for folder in BlobOwner::FOLDERS {
        let before = if folder == PARTS { before.max(now.minus(PARTS_KEPT)) } else { before };
        for blob in blobs.list(folder).await? {
            if blob.modified_at >= before || is_wanted(store, &blob.path).await? {
                continue;
            }
            blobs.delete(&blob.path).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

async fn is_wanted(store: &dyn Store, path: &str) -> Result<bool> {
    Ok(match BlobOwner::of(path) {
        Some(BlobOwner::Input(job)) => store.job(&job).await?.is_some_and(|job| !job.deleted),
        Some(BlobOwner::Result(job)) => store.job(&job).await?.is_some_and(|job| may_need_result(&job, path)),
        Some(BlobOwner::Upload(upload)) => store.upload(&upload).await?.is_some(),
        // What is looked at is too old to be completed.
        Some(BlobOwner::Part) => false,
        None => true,
    })
}

/// A running job may be about to point to the file.
fn may_need_result(job: &Job, path: &str) -> bool {
    if !job.state.is_terminal() {
        return true;
    }
    job.result.as_ref().is_some_and(|result| result.outputs.iter().any(|output| output.blob == path))
}

/// Sweeps every `interval` until `stop`, and looks for orphans at every 24th time.
pub async fn run_sweeper(
    store: &dyn Store,
    blobs: &Blobs,
    retention: &Retention,
    clock: &dyn crate::Clock,
    interval: Duration,
    stop: CancellationToken,
) {
    for round in 0_u64.. {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => return,
        }
        let mut outcome = sweep(store, blobs, retention, clock.now()).await;
        if round % 24 == 0
            && let Ok(swept) = &mut outcome
        {
            match sweep_orphans(store, blobs, retention, clock.now()).await {
                Ok(orphans) => swept.orphans = orphans,
                Err(error) => tracing::warn!(%error, "cannot look for files without a job"),
            }
        }
        match outcome {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => tracing::info!(?swept, "old jobs and files removed"),
            Err(error) => tracing::warn!(%error, "cannot remove old jobs and files"),
        }
    }
}
