//! How much one database carries: as many workers as there are cards, which only sleep, and as many submits as those can work off.
//!
//! A measurement, not a test: `bench/README.md` has the command. It prints one line of JSON. Settings by the environment:
//! `CAPACITY_CARDS` (1000), `CAPACITY_SECONDS` (60), `CAPACITY_WAITING` (0), `CAPACITY_FSYNC` (off),
//! `CAPACITY_PICTURE_MS` (3000, give or take a tenth), `CAPACITY_SUBMITS` (each second; as many as the cards can work off).

use crate::costs::facts;
use crate::counters::Counters;
use crate::filling::fill;
use crate::host::{Host, blobs, database, job};
use crate::latencies::{Latencies, Quantiles};
use crate::postgres::Server;
use afterimage_jobs::worker::{News, WorkerOptions};
use afterimage_jobs::{Fenced, JobResult, JobStore, KeyId, Lease, PostgresOptions, Renewed, UNNAMED, WorkerId};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Cards of one host: a process with as many slots.
const SLOTS: usize = 16;

/// Processes that take submits.
const APIS: usize = 4;

/// Keys that share the queue.
const KEYS: usize = 20;

/// How long everything runs before it is measured: until slots are not all at the same point of a picture, and every process has
/// counted the others, which it does once a minute.
const WARM_UP: Duration = Duration::from_secs(75);

struct Settings {
    cards: usize,
    seconds: u64,
    waiting: usize,
    submits: usize,
    picture: Duration,
    fsync: String,
}

impl Settings {
    fn read() -> Self {
        let number = |name: &str, usual: usize| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
        let cards = number("CAPACITY_CARDS", 1000);
        let picture = number("CAPACITY_PICTURE_MS", 3000);
        Self {
            cards,
            seconds: number("CAPACITY_SECONDS", 60) as u64,
            waiting: number("CAPACITY_WAITING", 0),
            submits: number("CAPACITY_SUBMITS", cards * 1000 / picture),
            picture: Duration::from_millis(picture as u64),
            fsync: std::env::var("CAPACITY_FSYNC").unwrap_or_else(|_| "off".to_owned()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of minutes; run it by name with --nocapture"]
async fn capacity() {
    Box::pin(measure(Settings::read())).await;
}

async fn measure(settings: Settings) {
    let further = format!(
        "fsync = {0}\nfull_page_writes = {0}\nshared_buffers = 1GB\nmax_wal_size = 4GB\nmax_connections = 1000\n\
         autovacuum_naptime = 1min\n",
        settings.fsync
    );
    let Some(server) = Server::start_with(&further) else { return };
    let name = database(&server).await;
    let address = server.address(&name);
    let options = PostgresOptions { connections: 4, ..PostgresOptions::default() };
    let mut apis = Vec::new();
    for _ in 0..APIS {
        apis.push(Arc::new(Host::start_with(&address, &blobs(), 0, options.clone()).await));
    }
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        keys.push(apis[0].key().await);
    }
    if settings.waiting > 0 {
        fill(&server, &name, &apis[0], &keys, settings.waiting / KEYS, 0).await;
    }
    let (latencies, stop) = (Arc::new(Latencies::default()), CancellationToken::new());
    let mut running = JoinSet::new();
    let mut hosts = Vec::new();
    for first in (0..settings.cards).step_by(SLOTS) {
        let options = PostgresOptions { connections: 4 + SLOTS as u32 / 8, ..options.clone() };
        let slots = settings.cards.min(first + SLOTS) - first;
        let host = Arc::new(Host::announcing(&address, &blobs(), slots, options).await);
        for _ in 0..slots {
            running.spawn(slot(host.clone(), settings.picture, latencies.clone(), stop.clone()));
        }
        hosts.push(host);
    }
    running.spawn(submit(apis.clone(), keys, settings.submits, latencies.clone(), stop.clone()));
    // Real time: work at its own pace is what is measured.
    sleep(WARM_UP).await;
    latencies.take();
    let (before, start) = (Counters::of(&server, &name).await, Instant::now());
    // Real time: as above.
    sleep(Duration::from_secs(settings.seconds)).await;
    let (after, took) = (Counters::of(&server, &name).await, start.elapsed().as_secs_f64());
    let measured = latencies.take();
    // Not told where even that takes too long.
    let depth = apis[0].store.queue_depth().await.ok();
    let jobs = measured.get("end").map_or(0, |ends| ends.count) as f64;
    let line = json!({
        "cards": settings.cards, "hosts": hosts.len(), "seconds_of_a_picture": settings.picture.as_secs_f64(),
        "submits_asked_per_s": settings.submits, "measured_s": rounded(took), "fsync": settings.fsync,
        "waiting_before": settings.waiting, "waiting_after": depth.map(|depth| depth.queued), "running_after": depth.map(|depth| depth.running),
        "jobs_per_s": rounded(jobs / took), "connections": after.connections,
        "postgres_cores": rounded((after.server_seconds - before.server_seconds) / took),
        "simulation_cores": rounded((after.own_seconds - before.own_seconds) / took),
        "idle_cores": rounded((after.idle_seconds - before.idle_seconds) / took),
        "postgres_cpu_ms_per_job": rounded((after.server_seconds - before.server_seconds) * 1e3 / jobs),
        "log_bytes_per_job": rounded((after.log_bytes - before.log_bytes) as f64 / jobs),
        "commits_per_job": rounded((after.commits - before.commits) as f64 / jobs),
        "operations": operations(&measured, took),
    });
    println!("{line}");
    stop.cancel();
    // What is left of the pictures.
    let _ = timeout(Duration::from_secs(20), running.join_all()).await;
}

fn operations(measured: &BTreeMap<&'static str, Quantiles>, took: f64) -> serde_json::Value {
    let operation = |(name, all): (&&str, &Quantiles)| {
        let figures = json!({"per_s": rounded(all.count as f64 / took), "p50_ms": rounded(all.p50),
            "p99_ms": rounded(all.p99), "max_ms": rounded(all.max)});
        ((*name).to_owned(), figures)
    };
    measured.iter().map(operation).collect::<serde_json::Map<_, _>>().into()
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Submits to all servers in turn, at the same rate whatever they answer.
async fn submit(
    apis: Vec<Arc<Host>>,
    keys: Vec<KeyId>,
    rate: usize,
    latencies: Arc<Latencies>,
    stop: CancellationToken,
) {
    let mut ticks = interval(Duration::from_secs(1).div_f64(rate.max(1) as f64));
    for number in 0.. {
        let due = tokio::select! {
            due = ticks.tick() => due,
            () = stop.cancelled() => return,
        };
        let (api, latencies) = (apis[number % apis.len()].clone(), latencies.clone());
        let job = job(&keys[number % keys.len()], 1);
        tokio::spawn(async move {
            let is_accepted = api.store.submit(job).await.is_ok();
            latencies.note(if is_accepted { "submit" } else { "refused submit" }, due.elapsed());
            api.hints.submitted(&None);
        });
    }
}

/// One card: what `worker/slot.rs` and `worker/heartbeat.rs` ask of the store, with a picture that is only waited for.
async fn slot(host: Arc<Host>, picture: Duration, latencies: Arc<Latencies>, stop: CancellationToken) {
    let worker = WorkerId::random();
    let options = WorkerOptions::default();
    while !stop.is_cancelled() {
        let start = Instant::now();
        let claimed = host.store.claim(&worker, &UNNAMED, options.lease).await;
        match claimed {
            Ok(Some(job)) => {
                latencies.note("claim", start.elapsed());
                host.hints.hear(&News::Submitted(None));
                run(&host, &job.lease(&worker), picture, &latencies, &options).await;
                continue;
            }
            Ok(None) => latencies.note("claim of nothing", start.elapsed()),
            Err(_) => latencies.note("failed claim", start.elapsed()),
        }
        let usual = host.hints.look_every().unwrap_or(options.poll_every);
        tokio::select! {
            () = host.hints.next_submitted(&UNNAMED) => {}
            // Real time: a slot's pause between two looks.
            () = sleep(usual.mul_f64(0.8 + 0.4 * random_part())) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn run(host: &Host, lease: &Lease, picture: Duration, latencies: &Latencies, options: &WorkerOptions) {
    let done = Instant::now() + picture.mul_f64(0.9 + 0.2 * random_part());
    let _running = host.events.begin(&lease.job, lease.attempt);
    loop {
        let renewal = Instant::now() + options.renew_every;
        if renewal >= done {
            break;
        }
        // Real time: the pace of renewals.
        sleep_until(renewal).await;
        let start = Instant::now();
        let progress = host.events.latest(&lease.job);
        let renewed = host.store.renew_with_progress(lease, options.lease, progress).await;
        let is_held = matches!(renewed, Ok(Renewed::Held { .. }));
        latencies.note(if is_held { "renew" } else { "failed renewal" }, start.elapsed());
    }
    // Real time: the pace of the card.
    sleep_until(done).await;
    let start = Instant::now();
    let result = JobResult { facts: facts(), files: Vec::new(), run_ms: None };
    let ended = host.store.succeed(lease, result).await;
    latencies.note(if matches!(ended, Ok(Fenced::Done)) { "end" } else { "failed end" }, start.elapsed());
    host.hints.ended(&lease.job);
}

/// From 0 to 1, from a job's random name.
fn random_part() -> f64 {
    let bytes = afterimage_jobs::JobId::random().to_string().replace('-', "");
    u32::from_str_radix(&bytes[..8], 16).map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX))
}
