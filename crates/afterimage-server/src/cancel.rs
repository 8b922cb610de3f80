//! Ending jobs before their time.

use crate::refusal::Refusal;
use afterimage_jobs::worker::Hints;
use afterimage_jobs::{ApiKey, CancelOutcome, JobId, JobState, Removed, Store};

/// Cancels a job of `key` and tells whoever in this process should know.
///
/// # Errors
/// Those of the store.
pub async fn cancel(store: &dyn Store, hints: &Hints, key: &ApiKey, id: &JobId) -> Result<CancelOutcome, Refusal> {
    let outcome = store.cancel(&key.id, id).await?;
    match outcome {
        CancelOutcome::Requested => hints.cancel_requested(id),
        CancelOutcome::Cancelled => hints.ended(id),
        CancelOutcome::AlreadyFinished | CancelOutcome::NotFound => {}
    }
    Ok(outcome)
}

/// Deletes jobs of `key` and tells whoever in this process should know; returns how many there were.
///
/// # Errors
/// Those of the store.
pub async fn delete(store: &dyn Store, hints: &Hints, key: &ApiKey, ids: &[JobId]) -> Result<u64, Refusal> {
    let removed = store.delete(&key.id, ids).await?;
    for Removed { job, was } in &removed {
        match was {
            JobState::Running => hints.cancel_requested(job),
            JobState::Queued => hints.ended(job),
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => {}
        }
    }
    Ok(removed.len() as u64)
}
