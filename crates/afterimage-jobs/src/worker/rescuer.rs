//! Finds jobs whose worker is gone, and jobs that nobody took in time.

use super::WorkerContext;
use crate::SystemClock;
use crate::clock_trust::{JUMP, Reading};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What goes on is said this often.
const WARN_EVERY: Duration = Duration::from_mins(10);

/// Looks until the workers stop.
pub(super) async fn run(shared: Arc<WorkerContext>) {
    let mut trust = Trust::new();
    let mut warned: Option<Instant> = None;
    loop {
        tokio::select! {
            () = sleep(shared.options.rescue_every) => {}
            () = shared.stopping.cancelled() => return,
        }
        if !trust.allows(&shared) {
            // On a machine that is short of processors this goes on and on.
            if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
                tracing::warn!("clock jumped, process stood still or store was away; holders get time to renew");
                warned = Some(Instant::now());
            }
            sleep(shared.options.renew_every + JUMP).await;
            trust = Trust::new();
        }
        trust.store_answered = look(&shared).await;
    }
}

async fn look(shared: &WorkerContext) -> bool {
    let ended = match (shared.store.rescue().await, shared.store.time_out_starts().await) {
        (Ok(rescued), Ok(late)) => {
            shared.options.measures.leases_expired.inc_by(rescued.len() as u64);
            [rescued, late].concat()
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "cannot look for lost jobs");
            return false;
        }
    };
    for job in &ended {
        tracing::warn!(job_id = %job, "job was rescued or timed out");
        // One hint each way: it has ended or waits again.
        shared.hints.ended(job);
        shared.hints.submitted_somewhere();
    }
    true
}

/// Whether a lease that looks run out may have had no chance to be renewed: the wall clock jumped, the process was
/// stopped, the machine slept, or the store was away. Acting then would count an unclean end against jobs that run.
struct Trust {
    looked_at: Reading,
    store_answered: bool,
}

impl Trust {
    fn new() -> Self {
        Self { looked_at: Reading::now(&SystemClock), store_answered: true }
    }

    fn allows(&mut self, shared: &WorkerContext) -> bool {
        let before = std::mem::replace(self, Self::new());
        let stood_still = self.looked_at.monotonic - before.looked_at.monotonic >= shared.options.rescue_every + JUMP;
        before.store_answered && !stood_still && !self.looked_at.jumped_since(&before.looked_at)
    }
}
