//! How much more many workers do than one.

use crate::host::{Host, blobs, database, job};
use crate::postgres::server;
use crate::waiting::until;
use afterimage_jobs::JobStore;
use std::time::{Duration, Instant};

/// Hundredths of a second that a job takes.
const STEPS: u32 = 100;

/// Jobs for each worker.
const ROUNDS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_workers_do_nearly_sixteen_times_the_work() {
    let Some(server) = server() else { return };
    let mut rates = Vec::new();
    for (hosts, slots) in [(1, 1), (4, 4)] {
        let name = database(server).await;
        let files = blobs();
        let mut running = Vec::new();
        for _ in 0..hosts {
            running.push(Host::start(&server.address(&name), &files, slots).await);
        }
        let apis = [
            Host::start(&server.address(&name), &files, 0).await,
            Host::start(&server.address(&name), &files, 0).await,
        ];
        let key = apis[0].key().await;
        let jobs = hosts * slots * ROUNDS;
        let start = Instant::now();
        for number in 0..jobs {
            let api = &apis[number % apis.len()];
            api.store.submit(job(&key, STEPS)).await.unwrap();
            api.hints.submitted(&None);
        }
        let done = async || apis[0].store.ends().await.unwrap().succeeded == jobs as u64;
        until("all are done", Duration::from_mins(1), done).await;
        let rate = jobs as f64 / start.elapsed().as_secs_f64();
        println!("{} workers on {hosts} hosts: {rate:.2} jobs/s", hosts * slots);
        rates.push(rate);
        for host in running {
            host.stop().await;
        }
    }
    // 15 on a machine that has nothing else to do; less is asked for beside other tests.
    assert!(rates[1] / rates[0] >= 12.0, "{rates:?}");
}
