//! Very many waiting jobs: nothing that clients and workers do may depend on how many there are.
//!
//! The short form has a hundred thousand and compares medians, which a missing index changes and a busy machine does not. The
//! long one (`AFTERIMAGE_LONG_TESTS`) has a million and demands what was promised of the slowest of a hundred.

use crate::filling::{fill, limited_key};
use crate::host::{Host, blobs, database, job};
use crate::latencies::Quantiles;
use crate::mixture::{Rates, Side};
use crate::postgres::Server;
use crate::waiting::until;
use afterimage_jobs::{JobStore, KeyId, PostgresOptions, UNNAMED, WorkerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Keys that share the queue.
const KEYS: usize = 10;

pub fn is_long() -> bool {
    std::env::var_os("AFTERIMAGE_LONG_TESTS").is_some()
}

/// Waiting jobs of the deep queue.
fn depth() -> usize {
    if is_long() { 1_000_000 } else { 100_000 }
}

/// A server with room for a million jobs. Nobody tells its planner what is in its tables.
pub fn server() -> Option<Server> {
    Server::start_with("shared_buffers = 512MB\nautovacuum_naptime = 1min\nmax_wal_size = 4GB\n")
}

/// A queue of `keys` that are free, which was in use before it became deep: its connections have made their plans.
pub async fn side(server: &Server, jobs: usize, behind: usize, full: Option<usize>) -> Side {
    let name = database(server).await;
    let options = PostgresOptions { connections: 16, ..PostgresOptions::default() };
    let address = server.address(&name);
    let api = Arc::new(Host::start_with(&address, &blobs(), 0, options.clone()).await);
    let workers = Arc::new(Host::start_with(&address, &blobs(), 0, options).await);
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        keys.push(api.key().await);
    }
    let side = Side::new(name.clone(), api, workers, keys);
    let rates = Rates { submits: 100, claims: 50, cancels: 40, looks: 20 };
    side.run(rates, 1).await;
    if let Some(jobs) = full {
        let key = limited_key(&side.api, 1).await;
        fill(server, &name, &side.api, std::slice::from_ref(&key), jobs, 0).await;
        run_one_of(&side, &key).await;
    }
    fill(server, &name, &side.api, &side.keys, jobs / KEYS, behind).await;
    if is_long() {
        // The server would do so by itself amid the measurement, and take a core for it.
        server.execute(&name, "VACUUM ANALYZE".to_owned()).await;
    }
    side.latencies.take();
    side
}

/// Claims until the one job of `key` that may run does.
async fn run_one_of(side: &Side, key: &KeyId) {
    loop {
        let worker = WorkerId::random();
        let claimed = side.workers.store.claim(&worker, &UNNAMED, Duration::from_hours(1)).await.unwrap().unwrap();
        if claimed.key == *key {
            return;
        }
        side.workers.store.cancelled(&claimed.lease(&worker)).await.unwrap();
    }
}

fn print(what: &str, measured: &BTreeMap<&'static str, Quantiles>) {
    for (name, quantiles) in measured {
        println!("{what}: {name} {quantiles}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_queue_is_as_fast_as_a_shallow_one() {
    let Some(server) = server() else { return };
    Box::pin(compare_depths(&server)).await;
}

async fn compare_depths(server: &Server) {
    let shallow = side(server, 1_000, 0, None).await;
    let start = Instant::now();
    let deep = side(server, depth(), 0, None).await;
    println!("{} jobs wait after {:.1} s", depth(), start.elapsed().as_secs_f64());
    let (rounds, seconds, submits) = if is_long() { (20, 3, 200) } else { (4, 2, 80) };
    // As many come as go.
    let rates = Rates { submits, claims: submits / 2, cancels: submits / 2, looks: submits / 10 };
    // In turns: what else the machine does is the same for both.
    for _ in 0..rounds {
        shallow.run(rates, seconds).await;
        deep.run(rates, seconds).await;
    }
    let (few, many) = (shallow.latencies.take(), deep.latencies.take());
    print("1000 waiting", &few);
    print(&format!("{} waiting", depth()), &many);
    for (name, deep) in &many {
        let shallow = &few[name];
        assert!(deep.p50 <= 2.0 * shallow.p50 + 5.0, "{name}: {deep} against {shallow}");
        if is_long() {
            assert!(deep.p99 <= 1.5 * shallow.p99 + 5.0, "{name}: {deep} against {shallow}");
        }
    }
    if is_long() {
        assert!(many["claim"].p99 < 20.0, "{}", many["claim"]);
        assert!(many["submit"].p99 < 40.0, "{}", many["submit"]);
    }
}

/// Keys at their limit beside the one that half of the queue is of.
const LIMITED_KEYS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_their_limit_hold_nobody_up() {
    let Some(server) = server() else { return };
    Box::pin(compare_with_full_keys(&server)).await;
}

async fn compare_with_full_keys(server: &Server) {
    let even = side(server, depth(), 0, None).await;
    // Half of what waits is of a key at its limit, and all of that is due first.
    let full = side(server, depth() / 2, depth() / 2, Some(depth() / 2)).await;
    full_keys(server, &full, LIMITED_KEYS).await;
    let rates = Rates { submits: 20, claims: 50, cancels: 0, looks: 0 };
    let (rounds, seconds) = if is_long() { (20, 3) } else { (4, 2) };
    let mut longest = Duration::ZERO;
    for _ in 0..rounds {
        even.run(rates, seconds).await;
        let ((), waited) = tokio::join!(full.run(rates, seconds), start_of_a_newcomer(&full));
        longest = longest.max(waited);
    }
    let (even, full) = (even.latencies.take(), full.latencies.take());
    print("all free", &even);
    print("half of a full key", &full);
    println!("a key that was not there before had its job started after {:.0} ms at most", longest.as_secs_f64() * 1e3);
    assert!(longest <= Duration::from_secs(2), "{longest:?}");
    let (even, full) = (even["claim"], full["claim"]);
    assert_eq!(even.count, full.count);
    assert!(full.p50 <= 3.0 * even.p50 + 5.0, "{full} against {even}");
    if is_long() {
        assert!(full.p99 <= 3.0 * even.p99, "{full} against {even}");
    }
}

/// Has so many keys run the one job that they may, and two more of each wait before all others.
async fn full_keys(server: &Server, side: &Side, keys: usize) {
    let key = limited_key(&side.api, 1).await;
    let first = side.api.store.submit(job(&key, 1)).await.unwrap().into_job().id;
    let statement = format!(
        "INSERT INTO keys (id, name, concurrency, secret_sha256, created_at) \
             SELECT 'full' || number, '', 1, 'full' || number, 0 FROM generate_series(1, {keys}) AS number; \
         INSERT INTO jobs (id, key_id, due, created_at, dialect, model, engine_model, priority, cost_micros, work, state, \
                 protocol, attempt, worker, started_at, lease_until) \
             SELECT gen_random_uuid()::TEXT, 'full' || number, 0, created_at, dialect, model, engine_model, priority, \
                 cost_micros, work, state, protocol, 0, NULL, NULL, NULL \
             FROM jobs, generate_series(1, {keys}) AS number, generate_series(1, 2) WHERE id = '{first}' \
             UNION ALL \
             SELECT gen_random_uuid()::TEXT, 'full' || number, 0, created_at, dialect, model, engine_model, priority, \
                 cost_micros, work, 'running', protocol, 1, 'somebody', created_at, created_at + 3600000 \
             FROM jobs, generate_series(1, {keys}) AS number WHERE id = '{first}'; \
         INSERT INTO job_inputs (seq, input, spec) SELECT jobs.seq, first.input, first.spec FROM jobs, job_inputs AS first \
             WHERE jobs.key_id LIKE 'full%' AND first.seq = (SELECT seq FROM jobs WHERE id = '{first}')"
    );
    server.execute(&side.database, statement).await;
}

/// How long the only job of a new key waits for one of those who claim.
async fn start_of_a_newcomer(side: &Side) -> Duration {
    let key = side.api.key().await;
    let id = side.api.store.submit(job(&key, 1)).await.unwrap().into_job().id;
    let has_started = async || side.api.store.job(&id).await.unwrap().unwrap().started_at.is_some();
    until("a newcomer's job starts", Duration::from_secs(10), has_started).await
}
