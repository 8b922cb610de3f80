//! What a job costs the database. The limits are what was counted, and a little: who raises them should know why.

use crate::counters::Counters;
use crate::host::{Host, blobs, database, job};
use crate::postgres::Server;
use afterimage_jobs::worker::WorkerOptions;
use afterimage_jobs::{JobResult, JobStore, PostgresOptions, PostgresStore, UNNAMED, WorkerId};

const JOBS: u64 = 50;

/// Commits that wait for the disk, bytes of log, and statements of one job from submit to success.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_costs_what_it_did() {
    // One's own: its log is that of all databases.
    let Some(server) = Server::start() else { return };
    let name = database(&server).await;
    let host = Host::start(&server.address(&name), &blobs(), 0).await;
    let key = host.key().await;
    host.stop().await;
    let options = PostgresOptions { connections: 1, ..PostgresOptions::default() };
    let address = server.address(&name);
    let store = PostgresStore::open(&address, options.clone()).await.unwrap();
    let worker = WorkerId::random();
    let one = async |store: &PostgresStore| {
        store.submit(job(&key, 1)).await.unwrap();
        let claimed = store.claim(&worker, &UNNAMED, WorkerOptions::default().lease).await.unwrap().unwrap();
        let result = JobResult { facts: facts(), files: Vec::new(), run_ms: None };
        store.succeed(&claimed.lease(&worker), result).await.unwrap();
    };
    // The first makes plans, and pages that are written whole.
    for _ in 0..5 {
        one(&store).await;
    }
    // A session that ends has told all that it did.
    store.close().await;
    let store = PostgresStore::open(&address, options).await.unwrap();
    let before = Counters::of(&server, &name).await;
    for _ in 0..JOBS {
        one(&store).await;
    }
    store.close().await;
    let after = Counters::of(&server, &name).await;
    let commits = (after.commits - before.commits) as f64 / JOBS as f64;
    let bytes = (after.log_bytes - before.log_bytes) as f64 / JOBS as f64;
    println!("a job costs {commits:.2} commits and {bytes:.0} bytes of log");
    // Submit, claim, end; the looks of this test itself are spread over all jobs.
    assert!(commits <= 3.2, "{commits} commits a job");
    assert!(bytes <= 9_000.0, "{bytes} bytes of log a job");
}

pub fn facts() -> afterimage_core::GenerationFacts {
    let size = afterimage_core::Size::new(64, 64);
    let model = afterimage_core::ModelFacts {
        name: "waiting".to_owned(),
        native_size: size,
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        checkers: Vec::new(),
    };
    afterimage_core::GenerationFacts::new(1, size, 1, model)
}
