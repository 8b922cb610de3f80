//! News, progress and requests to cancel from host to host, with and without anybody who listens.

use crate::host::{Host, blobs, database, job};
use crate::postgres::{Server, server};
use crate::waiting::until;
use afterimage_jobs::progress::Event;
use afterimage_jobs::{CancelOutcome, JobState, JobStore, PostgresOptions};
use std::time::{Duration, Instant};

/// What is heard and what is only found.
struct Limits {
    start: Duration,
    cancel: Duration,
    progress: Duration,
}

const HEARD: Limits =
    Limits { start: Duration::from_millis(500), cancel: Duration::from_millis(500), progress: Duration::from_secs(5) };

const FOUND: Limits = Limits {
    start: Duration::from_millis(2500),
    cancel: Duration::from_millis(2500),
    progress: Duration::from_secs(5),
};

#[tokio::test(flavor = "multi_thread")]
async fn news_cross_hosts() {
    let Some(server) = server() else { return };
    Box::pin(follow_a_job(server, true, &HEARD)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_hears_is_found() {
    let Some(server) = server() else { return };
    Box::pin(follow_a_job(server, false, &FOUND)).await;
}

/// A job that is accepted by one host, runs on another, is watched by a third and cancelled by a fourth.
async fn follow_a_job(server: &'static Server, hears: bool, limits: &Limits) {
    let name = database(server).await;
    let files = blobs();
    let address = server.address(&name);
    let options = || {
        let nowhere = (!hears).then(|| "postgres://nobody@127.0.0.1:9/nothing".to_owned());
        PostgresOptions { direct_address: nowhere, ..PostgresOptions::default() }
    };
    let api = Host::start_with(&address, &files, 0, options()).await;
    let worker = Host::start_with(&address, &files, 1, options()).await;
    let watching = Host::start_with(&address, &files, 0, options()).await;
    let other = Host::start_with(&address, &files, 0, options()).await;
    let key = api.key().await;
    // Whoever listens has said something to itself by now.
    let settled = async || hears == (worker.hints.look_every() == Some(Duration::from_secs(2)));
    until("it is known who hears", Duration::from_secs(10), settled).await;

    let submitted = Instant::now();
    let new = job(&key, 2000);
    let mut watcher = watching.events.watch(&new.id, false);
    let id = api.store.submit(new).await.unwrap().into_job().id;
    api.hints.submitted(&None);
    let runs = async || api.store.job(&id).await.unwrap().unwrap().state == JobState::Running;
    until("it runs", limits.start, runs).await;
    println!("hears: {hears}: started after {:.2} s", submitted.elapsed().as_secs_f64());

    let progress = async {
        loop {
            if let Some(Event::Step { done, .. }) = watcher.next().await {
                return done;
            }
            watcher = watcher.renewed();
        }
    };
    let done = tokio::time::timeout(limits.progress, progress).await.expect("progress is seen on another host");
    println!("hears: {hears}: step {done} seen after {:.2} s", submitted.elapsed().as_secs_f64());

    let asked = Instant::now();
    assert_eq!(other.store.cancel(&key, &id).await.unwrap(), CancelOutcome::Requested);
    other.hints.cancel_requested(&id);
    let ended = async || api.store.job(&id).await.unwrap().unwrap().state == JobState::Cancelled;
    until("it is cancelled", limits.cancel, ended).await;
    println!("hears: {hears}: cancelled after {:.2} s", asked.elapsed().as_secs_f64());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_on_the_list_while_they_are_there() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let files = blobs();
    let one = Host::start(&server.address(&name), &files, 2).await;
    let two = Host::start(&server.address(&name), &files, 1).await;
    let listed = async |count: usize| one.store.processes().await.unwrap().len() == count;
    until("both are listed", Duration::from_secs(5), async || listed(2).await).await;
    two.stop().await;
    until("one is listed", Duration::from_secs(5), async || listed(1).await).await;
}
