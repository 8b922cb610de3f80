//! Fifty hosts that are cut off, ten at a time (`AFTERIMAGE_LONG_TESTS`; two at once otherwise): each one's job runs elsewhere in
//! time, and what it says when it is back counts for nothing.

use crate::depth::is_long;
use crate::host::{Host, blobs, database, job};
use crate::postgres::{Server, server};
use crate::unsteady_proxy::{Line, UnsteadyProxy};
use crate::waiting::until;
use afterimage_jobs::{JobId, JobStore, PostgresOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// What a job waits for at most when its host is cut off.
const RESCUED_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn every_host_that_is_cut_off_is_noticed_in_time() {
    let Some(server) = server() else { return };
    let (rounds, hosts) = if is_long() { (5, 10) } else { (1, 2) };
    let mut waits = Vec::new();
    for _ in 0..rounds {
        waits.extend(Box::pin(cut_off(server, hosts)).await);
    }
    waits.sort();
    let seconds = |index: usize| waits[index].as_secs_f64();
    let last = waits.len() - 1;
    println!(
        "{} cuts: claimed elsewhere after {:.1} to {:.1} s, half of them within {:.1}",
        waits.len(),
        seconds(0),
        seconds(last),
        seconds(last / 2)
    );
    assert_eq!(waits.len(), rounds * hosts);
    assert!(waits[last] <= RESCUED_WITHIN, "{waits:?}");
}

/// How long each job of `count` hosts took to be claimed elsewhere.
async fn cut_off(server: &'static Server, count: usize) -> Vec<Duration> {
    let (name, files) = (database(server).await, blobs());
    let address = server.address(&name);
    let few = || PostgresOptions { connections: 3, ..PostgresOptions::default() };
    let api = Host::start_with(&address, &files, 0, few()).await;
    let key = api.key().await;
    let (mut lines, mut hosts, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let line = UnsteadyProxy::before(([127, 0, 0, 1], server.port).into()).await;
        let through = address.replace(&server.port.to_string(), &line.address.port().to_string());
        hosts.push(Host::start_with(&through, &files, 1, few()).await);
        lines.push(line);
        // Long enough to be still at it when it is cut off, and over before it is back.
        ids.push(api.store.submit(job(&key, 400)).await.unwrap().into_job().id);
        api.hints.submitted(&None);
    }
    let all_run = async || api.store.queue_depth().await.unwrap().running == count as u64;
    until("all run", Duration::from_secs(10), all_run).await;
    for line in &lines {
        line.set(Line::Stalled);
    }
    let cut = Instant::now();
    let other = Host::start(&address, &files, count).await;
    let waits = waits(&api, &ids, cut).await;
    for line in &lines {
        line.set(Line::Steady);
    }
    let done = async || api.store.ends().await.unwrap().succeeded == count as u64;
    until("all jobs are done", Duration::from_secs(30), done).await;
    let idle = async || hosts.iter().all(|host| host.workers.as_ref().is_some_and(|workers| workers.busy() == 0));
    until("the hosts that were cut off have given up", Duration::from_secs(30), idle).await;
    let mut kept = BTreeSet::new();
    for id in &ids {
        let ended = api.store.job(id).await.unwrap().unwrap();
        assert_eq!((ended.attempt, ended.unclean_ends), (2, 1), "{id}");
        kept.extend(ended.result.unwrap().files.into_iter().map(|file| file.blob));
    }
    // Late results were removed.
    let only_those = async || {
        let there: BTreeSet<String> = files.list("results").await.unwrap().into_iter().map(|blob| blob.path).collect();
        there == kept
    };
    until("late results are gone", Duration::from_secs(10), only_those).await;
    assert_eq!(api.store.ends().await.unwrap().succeeded, count as u64);
    other.stop().await;
    waits
}

async fn waits(api: &Host, ids: &[JobId], cut: Instant) -> Vec<Duration> {
    let mut waits = BTreeMap::new();
    while waits.len() < ids.len() {
        assert!(cut.elapsed() < 2 * RESCUED_WITHIN, "{waits:?}");
        for job in api.store.jobs(ids).await.unwrap().into_iter().filter(|job| job.attempt == 2) {
            waits.entry(job.id.to_string()).or_insert_with(|| cut.elapsed());
        }
        // Real time: how often it is looked.
        sleep(Duration::from_millis(50)).await;
    }
    waits.into_values().collect()
}
