//! Rows that do not make sense must not stop those behind them.

use crate::host::{Host, blobs, database, job};
use crate::postgres::server;
use crate::waiting::until;
use afterimage_jobs::worker::WorkerOptions;
use afterimage_jobs::{
    FailureKind, JobState, JobStore, ListFilter, NewJob, NewKey, Places, Source, SqliteStore, Store, SystemClock,
    UNNAMED, Webhook, WorkerId,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::sync::Arc;
use std::time::Duration;

/// What makes requests unreadable in either database.
const SPOIL: &str = "UPDATE job_inputs SET spec = '{\"request\": 3}'";

fn webhook() -> Webhook {
    Webhook { url: "http://127.0.0.1:9/".to_owned(), dialect: "wavespeed".to_owned() }
}

/// A job in each way that it can wait, each with a good one behind it once `spoil` has spoiled what there is.
async fn unreadable_jobs_fail(store: &dyn Store, spoil: impl AsyncFnOnce()) {
    let key = store.create_key(NewKey::default()).await.unwrap().0.id;
    let fetched = |mut new: NewJob| {
        new.spec.sources = vec![Source::Url { url: "http://127.0.0.1:9/picture".to_owned() }];
        new
    };
    let spoiled = [
        store.submit(NewJob { webhook: Some(webhook()), ..job(&key, 1) }).await.unwrap().into_job().id,
        store.submit(fetched(NewJob { webhook: Some(webhook()), ..job(&key, 1) })).await.unwrap().into_job().id,
    ];
    spoil().await;
    let good = store.submit(job(&key, 1)).await.unwrap().into_job().id;
    let to_fetch = store.submit(fetched(job(&key, 1))).await.unwrap().into_job().id;
    let lease = WorkerOptions::default().lease;
    let claimed = store.claim(&WorkerId::random(), &UNNAMED, lease).await.unwrap().expect("the good job");
    assert_eq!(claimed.id, good);
    let (claimed, _) = store.claim_fetch(&[], lease).await.unwrap().expect("the good job to fetch for");
    assert_eq!(claimed.id, to_fetch);
    for id in &spoiled {
        let ended = store.job(id).await.unwrap().expect("the spoiled job");
        let failure = ended.failure.expect("a failure");
        assert_eq!((ended.state, failure.kind), (JobState::Failed, FailureKind::Internal));
        assert!(failure.message.contains("cannot be read"), "{}", failure.message);
    }
    // Whoever waits for them hears of it, and a list with them can be read.
    let told = store.due_deliveries(10, &Places::new(8), lease).await.unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(store.list(&key, &ListFilter { page_size: 10, ..ListFilter::default() }).await.unwrap().jobs.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_row_of_postgresql_fails_and_the_queue_goes_on() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let host = Host::start(&server.address(&name), &blobs(), 0).await;
    let spoil = async || server.execute(&name, SPOIL.to_owned()).await;
    Box::pin(unreadable_jobs_fail(&host.store, spoil)).await;
    // A worker goes on, too.
    let (key, worker) = (host.key().await, Host::start(&server.address(&name), &blobs(), 1).await);
    let first = host.store.submit(job(&key, 1)).await.unwrap().into_job().id;
    let done = async || host.store.job(&first).await.unwrap().unwrap().state == JobState::Succeeded;
    until("a job is done", Duration::from_secs(10), done).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_row_of_sqlite_fails_and_the_queue_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
    let file = folder.path().join(SqliteStore::FILE_NAME);
    let spoil = async || {
        let mut connection = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
        sqlx::query(SPOIL).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    };
    Box::pin(unreadable_jobs_fail(&store, spoil)).await;
}
