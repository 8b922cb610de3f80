//! From an execution to the job's end: files first, then one transaction that makes them the result.

use super::{Produced, RecordedEnd, WorkerContext};
use crate::{Blobs, Error, Failure, FailureKind, Fenced, Job, JobResult, JobState, Lease, Result, ResultFile};
use afterimage_core::OutputFormat;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// A worker's last word on a claim.
pub(super) enum Ending {
    Succeeded(Box<JobResult>),
    Failed(Failure),
    PutBack(Failure, Duration),
    Cancelled,
    Crashed(String),
    Released,
}

/// Stores what was made. Storage that stays unavailable puts the job back.
pub(super) async fn store_pictures(
    shared: &WorkerContext,
    lease: &Lease,
    job: &Job,
    produced: Produced,
    claimed: Instant,
) -> Ending {
    let until = Instant::now() + shared.options.storage_patience;
    let mut files = Vec::with_capacity(produced.files.len());
    for bytes in produced.files {
        match store_picture(shared, lease, job.spec.output.format, bytes, until).await {
            Ok(file) => files.push(file),
            Err(error) => {
                tracing::error!(job_id = %job.id, %error, "cannot store the result");
                return failed(shared, job, Failure::new(FailureKind::Storage, "the result could not be stored"));
            }
        }
    }
    let run_ms = Some(claimed.elapsed().as_millis() as u64);
    Ending::Succeeded(Box::new(JobResult { facts: produced.facts, files, run_ms }))
}

/// A failure's consequence: storage may come back, anything else would fail again.
pub(super) fn failed(shared: &WorkerContext, job: &Job, failure: Failure) -> Ending {
    if failure.kind == FailureKind::Storage {
        return Ending::PutBack(failure, shared.options.backoff().pause(job.retries));
    }
    Ending::Failed(failure)
}

/// Writes the end down. Tries until the store answers: it says whether the claim still counts, however long that took.
pub(super) async fn record(shared: &WorkerContext, lease: &Lease, job: &Job, ending: Ending) {
    let mut failures = 0;
    let fenced = loop {
        match write(shared, lease, &ending).await {
            Ok(fenced) => break fenced,
            Err(error) => {
                tracing::warn!(job_id = %lease.job, %error, "cannot record the end of the job");
                sleep(shared.options.backoff().pause(failures)).await;
                failures += 1;
            }
        }
    };
    tracing::info!(job_id = %lease.job, attempt = lease.attempt, end = name_of(&ending), ?fenced, "job left the worker");
    if fenced == Fenced::Lost {
        shared.options.measures.leases_lost.inc();
    }
    match (fenced, &ending) {
        (Fenced::Done, Ending::Succeeded(result)) => shared.executor.recorded(job, RecordedEnd::Succeeded(result)),
        (Fenced::Done, Ending::Failed(failure)) => shared.executor.recorded(job, RecordedEnd::Failed(failure)),
        (Fenced::Lost, Ending::Succeeded(result)) => discard(shared, lease, result).await,
        _ => {}
    }
}

async fn write(shared: &WorkerContext, lease: &Lease, ending: &Ending) -> Result<Fenced> {
    let store = &shared.store;
    match ending {
        Ending::Succeeded(result) => store.succeed(lease, JobResult::clone(result)).await,
        Ending::Failed(failure) => store.fail(lease, failure.clone()).await,
        Ending::PutBack(failure, delay) => store.retry(lease, failure.clone(), *delay).await,
        Ending::Cancelled => store.cancelled(lease).await,
        Ending::Crashed(message) => store.crashed(lease, message).await,
        Ending::Released => store.release(lease).await,
    }
}

async fn store_picture(
    shared: &WorkerContext,
    lease: &Lease,
    format: OutputFormat,
    bytes: Bytes,
    until: Instant,
) -> Result<ResultFile> {
    let sha256 = Blobs::sha256(&bytes);
    let file = ResultFile {
        blob: Blobs::result_path(lease, &sha256, format),
        content_type: format.media_type().to_owned(),
        bytes: bytes.len() as u64,
        sha256,
    };
    let mut failures = 0;
    loop {
        let error = match timeout_at(until, shared.blobs.put(&file.blob, bytes.clone())).await {
            Ok(Ok(())) => return Ok(file),
            Ok(Err(error)) => error,
            Err(_) => Error::unavailable(format!("storage of {}", file.blob), "no answer in time"),
        };
        let pause = shared.options.backoff().pause(failures);
        failures += 1;
        if Instant::now() + pause > until {
            return Err(error);
        }
        tracing::warn!(job_id = %lease.job, %error, "cannot store a picture yet");
        sleep(pause).await;
    }
}

/// Removes files that no job points to. "Lost" may also mean that an earlier try was written although its answer did
/// not arrive; then this very claim succeeded and its files stay. Or a database that took another one's place never had
/// the claim, and gave its number to another worker: of the same request comes the same picture, under the same name, and that worker may
/// be about to point to it. What cannot be decided or removed is an orphan for the sweeper.
async fn discard(shared: &WorkerContext, lease: &Lease, result: &JobResult) {
    let is_named = match shared.store.job(&lease.job).await {
        Ok(Some(job)) => job.attempt == lease.attempt && matches!(job.state, JobState::Succeeded | JobState::Running),
        Ok(None) => false,
        Err(_) => return,
    };
    if is_named {
        return;
    }
    for file in &result.files {
        if let Err(error) = shared.blobs.delete(&file.blob).await {
            tracing::warn!(job_id = %lease.job, %error, "cannot remove a discarded picture");
        }
    }
}

pub(super) const fn name_of(ending: &Ending) -> &'static str {
    match ending {
        Ending::Succeeded(_) => "succeeded",
        Ending::Failed(_) => "failed",
        Ending::PutBack(..) => "put back",
        Ending::Cancelled => "cancelled",
        Ending::Crashed(_) => "crashed",
        Ending::Released => "released",
    }
}
