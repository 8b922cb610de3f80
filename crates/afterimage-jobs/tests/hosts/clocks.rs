//! A database whose clock jumps by five minutes while jobs run. The hosts keep theirs, and are wrong by as much then.

use crate::faketime::FakeClock;
use crate::host::{Host, blobs, database, job};
use crate::postgres::{Server, server, unprivileged};
use crate::waiting::until;
use afterimage_jobs::{FetchStore, JobState, JobStore, Source};
use std::time::Duration;

/// How long a job waits at most for another worker when its own died and the clock jumped then.
const RESCUED_WITHIN: Duration = Duration::from_secs(30);

/// A database with a clock that can be set.
struct SkewedDatabase {
    server: Server,
    clock: FakeClock,
    address: String,
}

impl SkewedDatabase {
    async fn start() -> Option<Self> {
        let clock = FakeClock::new()?;
        unprivileged(clock.folder.path());
        let variables = clock.variables().into_iter().map(|(name, value)| (name.to_owned(), value));
        let server = Server::start_in(variables.collect())?;
        let address = server.address(&database(&server).await);
        Some(Self { server, clock, address })
    }

    /// Sets the clock so many seconds ahead of what it should be, and waits until the server has it.
    async fn set_ahead(&self, seconds: i64) {
        self.clock.set_ahead(seconds);
        let limit = 60;
        let off = format!("abs(extract(epoch FROM clock_timestamp()) - {} - {seconds})", hosts_seconds());
        let check = format!("SELECT 1 / (({off}) < {limit})::INT");
        let is_set = async || self.server.try_execute("postgres", check.clone()).await.is_ok();
        until("the clock is set", Duration::from_secs(10), is_set).await;
    }
}

fn hosts_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_run_while_the_clock_jumps_are_left_alone() {
    let Some(skewed) = SkewedDatabase::start().await else { return };
    let files = blobs();
    let api = Host::start(&skewed.address, &files, 0).await;
    let key = api.key().await;
    let mut hosts = Vec::new();
    for _ in 0..4 {
        hosts.push(Host::start(&skewed.address, &files, 2).await);
    }
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(api.store.submit(job(&key, 1900)).await.unwrap().into_job().id);
        api.hints.submitted(&None);
    }
    let all_run = async || api.store.queue_depth().await.unwrap().running == 8;
    until("all run", Duration::from_secs(10), all_run).await;
    for ahead in [300, -300, 0] {
        skewed.set_ahead(ahead).await;
        // Real time: leases that were given by one clock are looked at by the other one, and renewed.
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    let done = async || api.store.ends().await.unwrap().succeeded == 8;
    until("all are done", Duration::from_mins(2), done).await;
    let jobs = api.store.jobs(&ids).await.unwrap();
    println!("3 jumps of the database's clock by 5 and 10 minutes: {} jobs ran once each", jobs.len());
    assert!(jobs.iter().all(|job| (job.attempt, job.unclean_ends) == (1, 0)), "{jobs:#?}");
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_does_not_keep_the_jobs_of_a_dead_worker() {
    let Some(skewed) = SkewedDatabase::start().await else { return };
    let files = blobs();
    let api = Host::start(&skewed.address, &files, 0).await;
    let key = api.key().await;
    for ahead in [300, -300] {
        let lost = Host::start(&skewed.address, &files, 1).await;
        let id = api.store.submit(job(&key, 300)).await.unwrap().into_job().id;
        api.hints.submitted(&None);
        let runs = async || api.store.job(&id).await.unwrap().unwrap().state == JobState::Running;
        until("the job runs", Duration::from_secs(10), runs).await;
        drop(lost);
        let start = std::time::Instant::now();
        let other = Host::start(&skewed.address, &files, 1).await;
        // Real time: the other one has looked by the clock that was right.
        tokio::time::sleep(Duration::from_secs(3)).await;
        skewed.set_ahead(ahead).await;
        let again = async || api.store.job(&id).await.unwrap().unwrap().attempt == 2;
        until("another worker has the job", RESCUED_WITHIN, again).await;
        let took = start.elapsed();
        println!("clock set to {ahead:+} s: a dead worker's job ran elsewhere after {:.1} s", took.as_secs_f64());
        assert!(took <= RESCUED_WITHIN, "{took:?}");
        let done = async || api.store.job(&id).await.unwrap().unwrap().state == JobState::Succeeded;
        until("it is done", Duration::from_secs(10), done).await;
        assert_eq!(api.store.job(&id).await.unwrap().unwrap().unclean_ends, 1);
        other.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_does_not_keep_pictures_from_being_fetched() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let host = Host::start(&server.address(&name), &blobs(), 0).await;
    let mut new = job(&host.key().await, 1);
    new.spec.sources = vec![Source::Url { url: "http://127.0.0.1:9/picture".to_owned() }];
    host.store.submit(new).await.unwrap();
    let lease = Duration::from_secs(12);
    // By somebody who died, five minutes ahead.
    assert!(host.store.claim_fetch(&[], lease + Duration::from_mins(5)).await.unwrap().is_some());
    let again = async || host.store.claim_fetch(&[], lease).await.unwrap().is_some();
    until("somebody else fetches", Duration::from_secs(10), again).await;
    // One that is as it should be stays with who has it.
    host.store.keep_house().await.unwrap();
    assert!(host.store.claim_fetch(&[], lease).await.unwrap().is_none());
}
