//! pgbouncer in transaction mode between hosts and database.

use crate::host::{Host, blobs, database, job};
use crate::pooler::Pooler;
use crate::postgres::server;
use crate::waiting::until;
use afterimage_jobs::{Error, JobStore, PostgresOptions, PostgresStore};
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn an_unnamed_pooler_is_refused() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let Some(pooler) = Pooler::before(server, &name).await else { return };
    let refused = PostgresStore::open(&pooler.address(&name, ""), PostgresOptions::default()).await;
    let error = refused.err().expect("a refusal");
    assert!(matches!(error, Error::Pooler), "{error}");
    assert!(error.to_string().contains("?pooler=transaction"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_through_a_pooler_are_those_of_the_database() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let Some(pooler) = Pooler::before(server, &name).await else { return };
    let files = blobs();
    let options =
        PostgresOptions { direct_address: Some(server.address(&name)), connections: 16, ..PostgresOptions::default() };
    let address = pooler.address(&name, "?pooler=transaction");
    let api = Host::start_with(&address, &files, 0, options.clone()).await;
    let worker = Host::start_with(&address, &files, 8, options).await;
    let direct = PostgresStore::open(&server.address(&name), PostgresOptions::default()).await.unwrap();
    let key = api.key().await;
    let mut ids = Vec::new();
    for _ in 0..64 {
        ids.push(api.store.submit(job(&key, 2)).await.unwrap().into_job().id);
    }
    // Readers in a crowd, each of which would notice another one's answer.
    let mut readers = JoinSet::new();
    for reader in 0..16 {
        let (store, ids) = (api.store.clone(), ids.clone());
        readers.spawn(async move {
            for id in ids.iter().cycle().skip(reader * 4).take(100) {
                assert_eq!(store.job(id).await.unwrap().expect("the job").id, *id);
            }
        });
    }
    readers.join_all().await;
    let done = async || api.store.ends().await.unwrap().succeeded == 64;
    until("all are done", Duration::from_secs(30), done).await;
    for id in &ids {
        assert_eq!(api.store.job(id).await.unwrap(), direct.job(id).await.unwrap());
    }
    worker.stop().await;
}
