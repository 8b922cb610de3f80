//! Servers and workers of two versions on one database.

use crate::host::{Host, blobs, database, job};
use crate::postgres::server;
use afterimage_core::{InpaintSettings, PictureRole, Task};
use afterimage_jobs::worker::WorkerOptions;
use afterimage_jobs::{FetchStore, JobState, JobStore, NewJob, Source, UNNAMED, WorkerId};

/// More than a claim looks at before it looks further.
const AHEAD: usize = 70;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_leaves_jobs_alone_that_only_newer_ones_understand() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let host = Host::start(&server.address(&name), &blobs(), 0).await;
    let (store, key) = (&host.store, host.key().await);
    let newer = || {
        let mut new = job(&key, 1);
        new.spec.request.task = Task::Inpaint(InpaintSettings::default());
        new.spec.request.roles = vec![PictureRole::Picture, PictureRole::Mask];
        new
    };
    let fetched = |mut new: NewJob| {
        new.spec.sources = vec![Source::Url { url: "http://127.0.0.1:9/picture".to_owned() }];
        new
    };
    let submit = async |new| store.submit(new).await.unwrap().into_job().id;
    let mut ahead = Vec::new();
    for _ in 0..AHEAD {
        ahead.push(submit(newer()).await);
    }
    let to_fetch_ahead = submit(fetched(newer())).await;
    let known = submit(job(&key, 1)).await;
    let to_fetch = submit(fetched(job(&key, 1))).await;

    // As the worker of before sees it, whose number is one lower.
    server.execute(&name, "UPDATE jobs SET protocol = protocol + 1".to_owned()).await;
    let lease = WorkerOptions::default().lease;
    let claim = async || store.claim(&WorkerId::random(), &UNNAMED, lease).await.unwrap().map(|job| job.id);
    let claim_fetch = async || store.claim_fetch(&[], lease).await.unwrap().map(|(job, _)| job.id);
    assert_eq!(claim().await, Some(known));
    assert_eq!(claim().await, None);
    assert_eq!(claim_fetch().await, Some(to_fetch));
    assert_eq!(claim_fetch().await, None);
    for id in ahead.iter().chain([&to_fetch_ahead]) {
        assert_eq!(store.job(id).await.unwrap().unwrap().state, JobState::Queued);
    }

    // The newer one, also in a process that has looked past them.
    server.execute(&name, "UPDATE jobs SET protocol = protocol - 1".to_owned()).await;
    for id in ahead {
        assert_eq!(claim().await, Some(id));
    }
    assert_eq!(claim().await, None);
    assert_eq!(claim_fetch().await, Some(to_fetch_ahead));
}
