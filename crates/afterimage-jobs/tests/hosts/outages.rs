//! A database that goes away under running jobs.

use crate::host::{Host, blobs, database, job};
use crate::postgres::Server;
use crate::waiting::until;
use afterimage_jobs::{Error, JobStore, ListFilter};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn running_jobs_outlive_the_database() {
    // One's own: the others' must not go away.
    let Some(server) = Server::start() else { return };
    let name = database(&server).await;
    let files = blobs();
    let api = Host::start(&server.address(&name), &files, 0).await;
    let key = api.key().await;
    let mut hosts = Vec::new();
    for _ in 0..4 {
        hosts.push(Host::start(&server.address(&name), &files, 4).await);
    }
    let away: &[u64] = if std::env::var_os("AFTERIMAGE_LONG_TESTS").is_some() { &[5, 15, 60] } else { &[5] };
    let mut expected = 0;
    for seconds in away {
        for _ in 0..16 {
            api.store.submit(job(&key, 400)).await.unwrap();
            api.hints.submitted(&None);
        }
        expected += 16;
        let all_run = async || api.store.queue_depth().await.unwrap().running == 16;
        until("all run", Duration::from_secs(20), all_run).await;
        server.kill();
        let start = Instant::now();
        let refused = api.store.submit(job(&key, 1)).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        // Real time: the database is away for so long, and there is no event to wait for.
        tokio::time::sleep(Duration::from_secs(*seconds)).await;
        server.run();
        let done = async || matches!(api.store.ends().await, Ok(ends) if ends.succeeded == expected);
        let took = until("every result is recorded", Duration::from_secs(40), done).await;
        println!("away for {seconds} s: 16 results recorded {:.1} s after it was back", took.as_secs_f64());
    }
    let filter = ListFilter { page_size: 100, ..ListFilter::default() };
    let jobs = api.store.list(&key, &filter).await.unwrap().jobs;
    assert_eq!(jobs.len() as u64, expected);
    assert!(jobs.iter().all(|job| (job.attempt, job.unclean_ends) == (1, 0)), "a job ran twice: {jobs:#?}");
    for host in hosts {
        host.stop().await;
    }
}
