//! Hosts that vanish, and hosts that are cut off and come back.

use crate::host::{Host, blobs, database, job};
use crate::postgres::server;
use crate::unsteady_proxy::{Line, UnsteadyProxy};
use crate::waiting::until;
use afterimage_jobs::{Blobs, JobState, JobStore};
use std::time::Duration;

/// What a job waits for at most when its host is gone.
const RESCUED_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_cut_off_loses_its_jobs_and_writes_nothing_late() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let files = blobs();
    let line = UnsteadyProxy::before(([127, 0, 0, 1], server.port).into()).await;
    let cut_off = Host::start(
        &server.address(&name).replace(&server.port.to_string(), &line.address.port().to_string()),
        &files,
        1,
    )
    .await;
    let key = cut_off.key().await;
    // Long enough to be still at it when it is cut off, and over before it is back.
    let id = cut_off.store.submit(job(&key, 300)).await.unwrap().into_job().id;
    let api = Host::start(&server.address(&name), &files, 0).await;
    let runs = async || api.store.job(&id).await.unwrap().unwrap().state == JobState::Running;
    until("the job runs", Duration::from_secs(10), runs).await;
    line.set(Line::Stalled);
    let other = Host::start(&server.address(&name), &files, 1).await;
    let again = async || api.store.job(&id).await.unwrap().unwrap().attempt == 2;
    let after = until("another host has the job", RESCUED_WITHIN, again).await;
    println!("claimed elsewhere {:.1} s after the cut", after.as_secs_f64());
    line.set(Line::Steady);
    let done = async || api.store.job(&id).await.unwrap().unwrap().state == JobState::Succeeded;
    until("the job is done", Duration::from_secs(20), done).await;
    let ended = api.store.job(&id).await.unwrap().unwrap();
    assert_eq!((ended.attempt, ended.unclean_ends), (2, 1));
    let is_idle = async || cut_off.workers.as_ref().unwrap().busy() == 0;
    until("the host that was cut off has given up", Duration::from_secs(30), is_idle).await;
    // Only the file that the job points to is there: the late one was removed.
    let kept: Vec<String> = ended.result.unwrap().files.into_iter().map(|file| file.blob).collect();
    let only_those = async || results(&files).await == kept;
    until("late results are gone", Duration::from_secs(10), only_those).await;
    assert_eq!(api.store.ends().await.unwrap().succeeded, 1);
    other.stop().await;
}

async fn results(files: &Blobs) -> Vec<String> {
    files.list("results").await.unwrap().into_iter().map(|blob| blob.path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_host_that_vanishes_run_elsewhere() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let files = blobs();
    let api = Host::start(&server.address(&name), &files, 0).await;
    let key = api.key().await;
    let lost = Host::start(&server.address(&name), &files, 4).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(api.store.submit(job(&key, 400)).await.unwrap().into_job().id);
        api.hints.submitted(&None);
    }
    let all_run = async || api.store.queue_depth().await.unwrap().running == 4;
    until("all run", Duration::from_secs(10), all_run).await;
    drop(lost);
    let other = Host::start(&server.address(&name), &files, 4).await;
    let done = async || api.store.ends().await.unwrap().succeeded == 4;
    let took = until("all are done elsewhere", RESCUED_WITHIN + Duration::from_secs(6), done).await;
    println!("4 jobs of a host that vanished were done {:.1} s later", took.as_secs_f64());
    for id in &ids {
        let ended = api.store.job(id).await.unwrap().unwrap();
        assert_eq!((ended.attempt, ended.unclean_ends), (2, 1));
    }
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_in_good_order_costs_its_jobs_nothing() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let files = blobs();
    let api = Host::start(&server.address(&name), &files, 0).await;
    let key = api.key().await;
    let mut hosts = Vec::new();
    for _ in 0..4 {
        hosts.push(Host::start(&server.address(&name), &files, 2).await);
    }
    for _ in 0..60 {
        api.store.submit(job(&key, 20)).await.unwrap();
    }
    // All but one, one after the other.
    let last = hosts.pop().unwrap();
    for host in hosts {
        host.stop().await;
    }
    let done = async || api.store.ends().await.unwrap().succeeded == 60;
    until("all are done", Duration::from_secs(30), done).await;
    assert_eq!(api.store.queue_depth().await.unwrap().running, 0);
    let page =
        api.store.list(&key, &afterimage_jobs::ListFilter { page_size: 100, ..Default::default() }).await.unwrap();
    assert!(page.jobs.iter().all(|job| job.unclean_ends == 0));
    last.stop().await;
}

/// A replica that nobody waited for lacks the last claims. What it knows of them when it is promoted:
const FORGET_CLAIMS: &str =
    "UPDATE jobs SET state = 'queued', attempt = 0, worker = NULL, lease_until = NULL, started_at = NULL";

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_a_failover_forgot_takes_no_file_from_its_successor() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let files = blobs();
    let api = Host::start(&server.address(&name), &files, 0).await;
    let key = api.key().await;
    let id = api.store.submit(job(&key, 200)).await.unwrap().into_job().id;
    let runs = async || api.store.job(&id).await.unwrap().unwrap().state == JobState::Running;
    let mut both = Vec::new();
    for _ in 0..2 {
        let line = UnsteadyProxy::before(([127, 0, 0, 1], server.port).into()).await;
        let by_line = server.address(&name).replace(&server.port.to_string(), &line.address.port().to_string());
        let host = Host::start(&by_line, &files, 1).await;
        until("it runs", Duration::from_secs(10), runs).await;
        // It cannot record its end, and the next one gets the same number.
        line.set(Line::Stalled);
        if both.is_empty() {
            server.execute(&name, FORGET_CLAIMS.to_owned()).await;
        }
        both.push((host, line));
    }
    let (second, first) = (both.pop().unwrap(), both.pop().unwrap());
    // Real time: both have stored their picture, which is the same.
    tokio::time::sleep(Duration::from_secs(4)).await;
    first.1.set(Line::Steady);
    let is_idle = async || first.0.workers.as_ref().unwrap().busy() == 0;
    until("the first has given up", Duration::from_secs(10), is_idle).await;
    second.1.set(Line::Steady);
    let done = async || api.store.job(&id).await.unwrap().unwrap().state == JobState::Succeeded;
    until("the second has recorded its end", Duration::from_secs(15), done).await;
    let ended = api.store.job(&id).await.unwrap().unwrap();
    assert_eq!(ended.attempt, 1);
    let file = &ended.result.unwrap().files[0].blob;
    assert!(files.get(file).await.unwrap().is_some(), "the file of the result is gone");
}
