//! The workers of one process, from start to stop.

use super::{Executor, Hints, WorkerContext, WorkerOptions, rescuer, slot};
use crate::progress::Events;
use crate::{Blobs, Lease, StorageGate, Store};
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// Running workers of this process. Dropping it without [`Workers::stop`] is an unclean end for the jobs it holds.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<WorkerContext>,
    tasks: JoinSet<()>,
}

impl Workers {
    /// Starts slots and rescuer. Without slots only the rescuer runs, for workers elsewhere.
    pub fn start(
        store: Arc<dyn Store>,
        blobs: Blobs,
        executor: Arc<dyn Executor>,
        hints: Arc<Hints>,
        events: Events,
        options: WorkerOptions,
    ) -> Self {
        let shared = Arc::new(WorkerContext {
            store,
            storage: StorageGate::new(blobs.clone()),
            blobs,
            executor,
            hints,
            events,
            options,
            stopping: CancellationToken::new(),
            abandoning: CancellationToken::new(),
            held: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for (slot, queues) in shared.options.slots.iter().enumerate() {
            tasks.spawn(slot::run(Arc::clone(&shared), slot, queues.clone()));
        }
        tasks.spawn(rescuer::run(Arc::clone(&shared)));
        Self { shared, tasks }
    }

    /// Jobs that run now.
    pub fn busy(&self) -> usize {
        self.shared.held().len()
    }

    /// Stops in good order: no new jobs; running ones may finish within [`WorkerOptions::finish_within`] and are then
    /// handed back, which costs them nothing.
    pub async fn stop(mut self) {
        self.shared.stopping.cancel();
        let finish = Instant::now() + self.shared.options.finish_within;
        let done = tokio::select! {
            () = join(&mut self.tasks) => true,
            () = sleep_until(finish) => false,
        };
        if done {
            return;
        }
        self.shared.abandoning.cancel();
        let hand_back = Instant::now() + self.shared.options.hand_back_within;
        if timeout_at(hand_back, join(&mut self.tasks)).await.is_ok() {
            return;
        }
        // What does not listen is cut off. The fence keeps it from writing, so its jobs can be handed back for it.
        self.tasks.shutdown().await;
        let held: Vec<Lease> = self.shared.held().drain().map(|(_, lease)| lease).collect();
        for lease in held {
            let outcome = self.shared.store.release(&lease).await;
            tracing::warn!(job_id = %lease.job, ?outcome, "job did not stop and was handed back");
        }
    }
}

async fn join(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "worker task failed");
        }
    }
}
