//! Keeps one lease alive while its job runs, and listens for its end.

use super::{Control, WorkerContext};
use crate::{JobId, Lease, Renewed};
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// A running heartbeat; ends when dropped.
pub(super) struct Heartbeat(AbortOnDropHandle<()>);

impl Heartbeat {
    pub(super) fn stop(self) {
        drop(self.0);
    }
}

/// Starts renewing. A task of its own, so that nothing the job does can hold it up.
pub(super) fn start(shared: &Arc<WorkerContext>, lease: &Lease, control: &Control) -> Heartbeat {
    // Subscribed before the first renewal reads the flag: no request falls in between.
    let requests = shared.hints.cancel_requests();
    let task = tokio::spawn(run(Arc::clone(shared), lease.clone(), control.clone(), requests));
    Heartbeat(AbortOnDropHandle::new(task))
}

async fn run(shared: Arc<WorkerContext>, lease: Lease, control: Control, mut requests: broadcast::Receiver<JobId>) {
    loop {
        tokio::select! {
            () = sleep(shared.options.renew_every) => {}
            // Only wakes: whether the job is to stop is for the store to say, in the answer to the renewal.
            () = next_request(&mut requests, &lease.job) => {}
        }
        match shared.store.renew_with_progress(&lease, shared.options.lease, shared.events.latest(&lease.job)).await {
            Ok(Renewed::Held { cancel_requested: true }) => control.cancel.cancel(),
            Ok(Renewed::Held { cancel_requested: false }) => {}
            Ok(Renewed::Lost) => {
                shared.options.measures.leases_lost.inc();
                tracing::warn!(job_id = %lease.job, attempt = lease.attempt, "lease lost");
                control.abandon.cancel();
                return;
            }
            // The next beat tries again. Should the lease run out meanwhile, the fence decides.
            Err(error) => tracing::warn!(job_id = %lease.job, %error, "cannot renew the lease"),
        }
    }
}

/// Completes when a request to stop this job is hinted at, or when requests were missed, among which may be its own.
async fn next_request(requests: &mut broadcast::Receiver<JobId>, job: &JobId) {
    loop {
        match requests.recv().await {
            Ok(requested) if requested != *job => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
