//! What a server does besides answering requests.

use crate::app::App;
use crate::dialects::{fal, openai, wavespeed};
use crate::fetchers::run_fetchers;
use crate::internal::Neighbours;
use crate::operations::Counted;
use crate::webhooks::{Deliverer, Render};
use afterimage_jobs::remote::{ProcessFacts, RemoteHosts};
use afterimage_jobs::retention::Retention;
use afterimage_jobs::worker::{News, WorkerOptions, Workers};
use afterimage_jobs::{Sweeper, SystemClock};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often files and rows past their time are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Starts what goes on until `stop`: removing what is older than `kept`, delivering webhooks, fetching pictures.
pub fn start_background(app: &App, kept: Duration, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let sweeper = sweeper(app, kept);
    let stopped = stop.clone();
    tasks.spawn(async move { sweeper.run(stopped).await });
    tasks.spawn(deliverer(app).run(stop.clone()));
    // Also without workers: what is submitted here may run elsewhere, and its pictures need not wait for that.
    tasks.spawn(run_fetchers(app.fetch_parts(), stop.clone()));
    tasks
}

/// Starts workers on the server's engines, a slot for each engine: no job is claimed that has to wait for one that is busy.
pub fn start_workers(app: &App, options: WorkerOptions) -> Workers {
    let slots = app.metrics.engines.statuses().into_iter().map(|engine| engine.queues).collect();
    let sync = &app.dialects.sync;
    let blobs = &sync.submitter.blobs;
    let executor = Arc::clone(&app.metrics.engines).executor(blobs.clone(), sync.follower.events.clone());
    let executor = Counted { executor, metrics: Arc::clone(&app.metrics.metrics) };
    Workers::start(
        Arc::clone(&sync.submitter.store),
        blobs.clone(),
        Arc::new(executor),
        Arc::clone(&sync.submitter.hints),
        sync.follower.events.clone(),
        WorkerOptions { slots, ..options },
    )
}

/// What this process does because others use its database. `address`: where they ask it how far its jobs are.
pub fn remote_hosts(
    app: &App,
    neighbours: Neighbours,
    outlet: mpsc::Receiver<News>,
    is_worker: bool,
    address: Option<String>,
) -> RemoteHosts {
    let engines = Arc::clone(&app.metrics.engines);
    let Neighbours { process: id, store, ask, time, passes: _, heard } = neighbours;
    let role = if is_worker { "worker" } else { "serve" };
    let facts = move || {
        let statuses = engines.statuses();
        let models: BTreeSet<String> = statuses.iter().map(|engine| engine.model.clone()).collect();
        let devices: BTreeSet<String> = statuses.iter().map(|engine| engine.device.clone()).collect();
        ProcessFacts {
            id: id.clone(),
            role: role.to_owned(),
            host: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            models: models.into_iter().collect(),
            slots: statuses.len(),
            ready: statuses.iter().filter(|engine| engine.is_open).count(),
            devices: devices.into_iter().collect(),
        }
    };
    let sync = &app.dialects.sync;
    RemoteHosts {
        store,
        hints: Arc::clone(&sync.submitter.hints),
        outlet,
        events: sync.follower.events.clone(),
        facts: Arc::new(facts),
        ask: Some(ask),
        address,
        time,
        heard,
    }
}

/// What this machine is called, for people.
fn host_name() -> String {
    let named = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let of_kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    named.or_else(of_kernel).map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// Removes what is older than `kept`. A tombstone tells "deleted" from "unknown" for as long again.
fn sweeper(app: &App, kept: Duration) -> Sweeper {
    Sweeper {
        store: Arc::clone(&app.dialects.store),
        blobs: app.dialects.results.blobs.clone(),
        claim: Some(Arc::clone(&app.storage_claim)),
        retention: Retention { jobs: kept, tombstones: 2 * kept, uploads: kept, ..Retention::default() },
        clock: Arc::new(SystemClock),
        interval: SWEEP_EVERY,
    }
}

fn deliverer(app: &App) -> Deliverer {
    let files = &app.dialects.results;
    let renderers: HashMap<String, Arc<dyn Render>> = HashMap::from([
        (wavespeed::DIALECT.to_owned(), Arc::new(wavespeed::WebhookRenderer(files.links.clone())) as _),
        (fal::DIALECT.to_owned(), Arc::new(fal::webhook::WebhookRenderer(files.links.clone())) as _),
        (openai::DIALECT.to_owned(), Arc::new(openai::WebhookRenderer(files.clone())) as _),
    ]);
    Deliverer::new(Arc::clone(&app.dialects.store), renderers, app.dialects.sync.submitter.outbound.clone())
}
