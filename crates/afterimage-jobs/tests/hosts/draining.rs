//! Workers that are replaced one after the other under load, and a fleet that becomes smaller: nothing ends uncleanly.

use crate::host::{Host, blobs, database, job};
use crate::postgres::server;
use crate::waiting::until;
use afterimage_jobs::{JobId, JobState, JobStore, KeyId};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

/// Hundredths of a second that a job takes.
const STEPS: u32 = 20;

/// Workers, of one slot each.
const WORKERS: usize = 16;

/// How long a worker may take to end: a job's length, and what the machine takes for the rest.
const GRACE: Duration = Duration::from_secs(5);

/// Submits `rate` jobs a second until `stop`; returns their ids.
fn load(api: &Host, key: &KeyId, rate: u32, stop: CancellationToken) -> JoinHandle<Vec<JobId>> {
    let (store, hints, key) = (api.store.clone(), api.hints.clone(), key.clone());
    tokio::spawn(async move {
        let mut ticks = interval(Duration::from_secs(1) / rate);
        let mut ids = Vec::new();
        while !stop.is_cancelled() {
            ticks.tick().await;
            ids.push(store.submit(job(&key, STEPS)).await.unwrap().into_job().id);
            hints.submitted(&None);
        }
        ids
    })
}

/// All of `ids` have succeeded, none after an end that was not clean.
async fn assert_clean(api: &Host, ids: &[JobId]) {
    let done = async || api.store.ends().await.unwrap().succeeded == ids.len() as u64;
    until("all are done", Duration::from_mins(1), done).await;
    for id in ids {
        let job = api.store.job(id).await.unwrap().unwrap();
        assert_eq!((job.state, job.unclean_ends), (JobState::Succeeded, 0), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_replaced_one_after_the_other() {
    let Some(server) = server() else { return };
    let (name, files) = (database(server).await, blobs());
    let start = async |slots| Host::start(&server.address(&name), &files, slots).await;
    let api = start(0).await;
    let key = api.key().await;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(start(1).await);
    }
    let stop = CancellationToken::new();
    let submitting = load(&api, &key, 30, stop.clone());
    let mut longest = Duration::ZERO;
    for worker in std::mem::take(&mut workers) {
        workers.push(start(1).await);
        let asked = Instant::now();
        worker.stop().await;
        longest = longest.max(asked.elapsed());
    }
    stop.cancel();
    let ids = submitting.await.unwrap();
    println!(
        "{} jobs while {WORKERS} workers were replaced; the longest took {:.2} s to end",
        ids.len(),
        longest.as_secs_f64()
    );
    assert!(longest <= GRACE, "{longest:?}");
    assert_clean(&api, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throughput_follows_the_number_of_workers() {
    let Some(server) = server() else { return };
    let (name, files) = (database(server).await, blobs());
    let start = async |slots| Host::start(&server.address(&name), &files, slots).await;
    let api = start(0).await;
    let key = api.key().await;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(start(1).await);
    }
    // More than sixteen can do: jobs always wait.
    let stop = CancellationToken::new();
    let submitting = load(&api, &key, 100, stop.clone());
    let rate = async || {
        let before = api.store.ends().await.unwrap().succeeded;
        let began = Instant::now();
        // Real time: what is counted is the work of a while.
        sleep(Duration::from_secs(3)).await;
        (api.store.ends().await.unwrap().succeeded - before) as f64 / began.elapsed().as_secs_f64()
    };
    // Real time: the first jobs have to be running.
    sleep(Duration::from_secs(1)).await;
    let with_sixteen = rate().await;
    for worker in workers.drain(2..) {
        worker.stop().await;
    }
    let with_two = rate().await;
    stop.cancel();
    let ids = submitting.await.unwrap();
    println!("{with_sixteen:.1} jobs/s with {WORKERS} workers, {with_two:.1} with two");
    // Five a second each at most; a machine that is busy does less.
    assert!((6.0..=10.5).contains(&with_two), "{with_two}");
    assert!(with_sixteen >= 4.0 * with_two, "{with_sixteen} against {with_two}");
    // What waits is nobody's any more.
    for id in &ids {
        api.store.cancel(&key, id).await.unwrap();
    }
    let over = async || api.store.queue_depth().await.unwrap().running == 0;
    until("nothing runs", GRACE, over).await;
    let mut unclean = 0;
    for id in &ids {
        unclean += api.store.job(id).await.unwrap().unwrap().unclean_ends;
    }
    assert_eq!(unclean, 0);
}
