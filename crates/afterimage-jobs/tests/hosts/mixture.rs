//! What clients and workers ask of a queue at steady rates, whatever it answers and when.

use crate::costs::facts;
use crate::host::{Host, job};
use crate::latencies::Latencies;
use afterimage_jobs::worker::WorkerOptions;
use afterimage_jobs::{JobId, JobResult, JobStore, KeyId, ListFilter, UNNAMED, WorkerId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

/// A database, the two hosts that use it, and what was measured there.
pub struct Side {
    /// The database's name.
    pub database: String,
    pub api: Arc<Host>,
    pub workers: Arc<Host>,
    pub keys: Vec<KeyId>,
    pub latencies: Arc<Latencies>,
    /// What was submitted and neither looked for nor cancelled yet.
    accepted: Arc<Mutex<VecDeque<(KeyId, JobId)>>>,
}

/// How often each second.
#[derive(Clone, Copy)]
pub struct Rates {
    pub submits: u32,
    pub claims: u32,
    pub cancels: u32,
    /// Of one job, and of a page of all.
    pub looks: u32,
}

impl Side {
    pub fn new(database: String, api: Arc<Host>, workers: Arc<Host>, keys: Vec<KeyId>) -> Self {
        Self { database, api, workers, keys, latencies: Arc::default(), accepted: Arc::default() }
    }

    /// Asks at `rates` for so many seconds. An operation counts from when it was due.
    pub async fn run(&self, rates: Rates, seconds: u32) {
        tokio::join!(
            steadily(rates.submits, seconds, |number, due| self.submit(number, due)),
            steadily(rates.claims, seconds, |_, due| self.claim(due)),
            steadily(rates.cancels, seconds, |_, due| self.cancel(due)),
            steadily(rates.looks, seconds, |number, due| self.look(number, due)),
        );
    }

    fn submit(&self, number: u32, due: Instant) -> impl Future<Output = ()> + Send + 'static {
        let key = self.keys[number as usize % self.keys.len()].clone();
        let (api, latencies, accepted) = (self.api.clone(), self.latencies.clone(), self.accepted.clone());
        async move {
            let job = api.store.submit(job(&key, 1)).await.unwrap().into_job();
            latencies.note("submit", due.elapsed());
            accepted.lock().unwrap().push_back((key, job.id));
        }
    }

    /// Claims a job and ends it.
    fn claim(&self, due: Instant) -> impl Future<Output = ()> + Send + 'static {
        let (workers, latencies) = (self.workers.clone(), self.latencies.clone());
        async move {
            let worker = WorkerId::random();
            let claimed = workers.store.claim(&worker, &UNNAMED, WorkerOptions::default().lease).await.unwrap();
            latencies.note("claim", due.elapsed());
            let Some(claimed) = claimed else { return };
            let start = Instant::now();
            let result = JobResult { facts: facts(), files: Vec::new(), run_ms: None };
            workers.store.succeed(&claimed.lease(&worker), result).await.unwrap();
            latencies.note("end", start.elapsed());
        }
    }

    /// Cancels the job that was accepted last.
    fn cancel(&self, due: Instant) -> impl Future<Output = ()> + Send + 'static {
        let last = self.accepted.lock().unwrap().pop_back();
        let (api, latencies) = (self.api.clone(), self.latencies.clone());
        async move {
            let Some((key, id)) = last else { return };
            api.store.cancel(&key, &id).await.unwrap();
            latencies.note("cancel", due.elapsed());
        }
    }

    /// Looks at a job, its place in line, and the first page of its key's jobs.
    fn look(&self, number: u32, due: Instant) -> impl Future<Output = ()> + Send + 'static {
        let first = self.accepted.lock().unwrap().front().cloned();
        let (api, latencies) = (self.api.clone(), self.latencies.clone());
        async move {
            let Some((key, id)) = first else { return };
            assert!(api.store.job(&id).await.unwrap().is_some());
            latencies.note("status", due.elapsed());
            let start = Instant::now();
            let page = 1 + number % 3;
            let filter = ListFilter { page_size: 20, page, ..ListFilter::default() };
            api.store.list(&key, &filter).await.unwrap();
            latencies.note("list", start.elapsed());
            let start = Instant::now();
            api.store.position(&id).await.unwrap();
            latencies.note("position", start.elapsed());
        }
    }
}

/// Starts `operation` so often each second, whether or not those before have ended; returns when all have.
async fn steadily<F>(per_second: u32, seconds: u32, operation: impl Fn(u32, Instant) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if per_second == 0 {
        return;
    }
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    let mut running = JoinSet::new();
    for number in 0..per_second * seconds {
        let due = ticks.tick().await;
        running.spawn(operation(number, due));
    }
    running.join_all().await;
}
