//! The worker loop: claims, runs, keeps the lease alive, records the end.
//!
//! Each slot runs one job at a time. Beside it a heartbeat renews the lease and passes on requests to cancel; a
//! rescuer finds jobs whose worker is gone. Everything is told at once by [`Hints`]; where a hint is missing (another
//! process, a full channel), polling finds the same thing a little later.

mod crowd;
mod engines;
mod executor;
mod heartbeat;
mod hints;
mod recorder;
mod rescuer;
mod slot;
mod workers;

pub use engines::{EngineStatus, Engines, StartEngines, UnusableEngine};
pub use executor::{Control, Execution, Executor, Produced, RecordedEnd};
pub use hints::{Hints, News};
pub use workers::Workers;

use crate::progress::Events;
use crate::{Backoff, Blobs, Lease, Measures, ProcessId, Queue, StorageGate, Store, UNNAMED};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How workers behave.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// One for each job at once: the queues that it takes jobs from, the first ones first. It should be those that an
    /// engine of its own serves; a job for an engine that is busy would hold up others meanwhile.
    pub slots: Vec<Vec<Queue>>,
    /// The process that the slots are in.
    pub process: ProcessId,
    /// Counts and times what the slots do.
    pub measures: Measures,
    /// How long a job stays with a worker that is not heard of.
    pub lease: Duration,
    /// How often a lease is renewed; several times per lease, so that a slow renewal loses nothing.
    pub renew_every: Duration,
    /// How often an idle slot looks for jobs that nobody announced.
    pub poll_every: Duration,
    /// How often the rescuer looks. With the lease it makes up the time until a dead worker is noticed.
    pub rescue_every: Duration,
    /// How long storing a result may fail before the job is put back.
    pub storage_patience: Duration,
    /// First pause after a failed write; doubles up to [`WorkerOptions::longest_pause`].
    pub first_pause: Duration,
    /// Longest pause between tries.
    pub longest_pause: Duration,
    /// How long [`Workers::stop`] lets jobs run to their end.
    pub finish_within: Duration,
    /// How long [`Workers::stop`] then waits for them to be handed back.
    pub hand_back_within: Duration,
}

impl Default for WorkerOptions {
    /// One slot for jobs that name no model; a dead worker is noticed within 15 s; a stop takes at most 30 s.
    fn default() -> Self {
        Self {
            slots: vec![UNNAMED.to_vec()],
            process: ProcessId::random(),
            measures: Measures::default(),
            lease: Duration::from_secs(12),
            renew_every: Duration::from_secs(3),
            poll_every: Duration::from_millis(200),
            rescue_every: Duration::from_secs(2),
            storage_patience: Duration::from_secs(20),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            finish_within: Duration::from_secs(20),
            hand_back_within: Duration::from_secs(8),
        }
    }
}

impl WorkerOptions {
    /// Pauses after failed writes.
    const fn backoff(&self) -> Backoff {
        Backoff::new(self.first_pause, self.longest_pause)
    }
}

/// What slots, heartbeats and the rescuer have in common.
struct WorkerContext {
    store: Arc<dyn Store>,
    blobs: Blobs,
    /// Whether those can be used.
    storage: StorageGate,
    executor: Arc<dyn Executor>,
    hints: Arc<Hints>,
    /// What running jobs tell of themselves.
    events: Events,
    options: WorkerOptions,
    /// No new claims.
    stopping: CancellationToken,
    /// Running jobs are to be handed back.
    abandoning: CancellationToken,
    held: Mutex<HashMap<usize, Lease>>,
}

impl std::fmt::Debug for WorkerContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WorkerContext").field("options", &self.options).finish_non_exhaustive()
    }
}

impl WorkerContext {
    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
