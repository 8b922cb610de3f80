//! What becomes of a job whose client hangs up.

use super::follower::Follower;
use crate::cancel::cancel;
use afterimage_jobs::worker::Hints;
use afterimage_jobs::{ApiKey, JobId, Store};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Cancels the job when dropped, unless disarmed: a client that hangs up on a synchronous request drops its future.
///
/// Not so while the server stops, which breaks off connections itself in the end: that is nobody's wish.
///
/// Not so for a request with an idempotency key. Its client may send it once more, after a connection that broke or
/// beside one that lives, and is promised the same job: neither sender may end it for the other by hanging up.
pub struct CancelOnDrop {
    armed: Option<Guarded>,
}

/// A job, and what it takes to cancel it.
struct Guarded {
    store: Arc<dyn Store>,
    hints: Arc<Hints>,
    key: ApiKey,
    id: JobId,
    stopping: CancellationToken,
}

impl CancelOnDrop {
    /// Guards `id`; `repeatable`: the request has an idempotency key.
    pub fn new(follower: &Follower, key: &ApiKey, id: &JobId, repeatable: bool) -> Self {
        let guarded = || Guarded {
            store: Arc::clone(&follower.store),
            hints: Arc::clone(&follower.hints),
            key: key.clone(),
            id: id.clone(),
            stopping: follower.stopping.clone(),
        };
        Self { armed: (!repeatable).then(guarded) }
    }

    /// The client got its answer; the job is left alone.
    pub fn disarm(mut self) {
        self.armed = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(Guarded { store, hints, key, id, stopping }) = self.armed.take()
            && !stopping.is_cancelled()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                tracing::info!(job_id = %id, "the client of a synchronous request is gone, the job is cancelled");
                if let Err(error) = cancel(store.as_ref(), &hints, &key, &id).await {
                    tracing::warn!(%error, job_id = %id, "the job was not cancelled");
                }
            });
        }
    }
}
