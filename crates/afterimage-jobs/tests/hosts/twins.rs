//! Two servers that get the same at the same moment: one of them does it.
//!
//! The short form has 100 rounds, the long one (`AFTERIMAGE_LONG_TESTS`) 1,000.

use crate::depth::is_long;
use crate::host::{Host, blobs, database, job};
use crate::postgres::server;
use afterimage_jobs::{
    Delivery, Fenced, Idempotency, JobStore, KeyId, NewUpload, Outbox, Places, Submitted, UploadFacts, UploadId,
    UploadStore, UsageStore, Webhook,
};
use std::collections::BTreeMap;
use std::time::Duration;

fn rounds() -> usize {
    if is_long() { 1_000 } else { 100 }
}

/// Two API servers on one database, and a key.
async fn twins() -> Option<(Host, Host, KeyId)> {
    let address = server()?.address(&database(server()?).await);
    let (one, other) = (Host::start(&address, &blobs(), 0).await, Host::start(&address, &blobs(), 0).await);
    let key = one.key().await;
    Some((one, other, key))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_makes_one_job() {
    let Some((one, other, key)) = twins().await else { return };
    for round in 0..rounds() {
        let idempotency = Idempotency { key: format!("round {round}"), fingerprint: "body".to_owned() };
        let new = || {
            let mut new = job(&key, 1);
            new.idempotency = Some(idempotency.clone());
            new
        };
        let (first, second) = tokio::join!(one.store.submit(new()), other.store.submit(new()));
        let answers = [first.unwrap(), second.unwrap()];
        let created = answers.iter().filter(|answer| matches!(answer, Submitted::Created(_))).count();
        let [first, second] = answers.map(|answer| answer.into_job().id);
        assert_eq!((created, first.as_str()), (1, second.as_str()), "round {round}");
    }
    assert_eq!(one.store.queue_depth().await.unwrap().queued, rounds() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ticket_takes_one_file() {
    let Some((one, other, key)) = twins().await else { return };
    for round in 0..rounds() {
        let id = UploadId::random();
        let upload = NewUpload {
            id: id.clone(),
            key: key.clone(),
            filename: "photo.png".to_owned(),
            declared_type: "image/png".to_owned(),
            facts: None,
            kept_for: None,
        };
        one.store.create_upload(upload).await.unwrap();
        let facts = |server: &str| UploadFacts {
            blob: format!("uploads/{id}/{server}"),
            content_type: "image/png".to_owned(),
            bytes: 100,
            width: 8,
            height: 8,
        };
        let (first, second) =
            tokio::join!(one.store.finish_upload(&id, facts("one")), other.store.finish_upload(&id, facts("other")));
        let taken = [first.unwrap().is_some(), second.unwrap().is_some()];
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "round {round}");
    }
    one.store.keep_house().await.unwrap();
    assert_eq!(one.store.stored_bytes(&key).await.unwrap(), 100 * rounds() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_of_a_webhook_is_one_servers() {
    let Some((one, other, key)) = twins().await else { return };
    for _ in 0..rounds() {
        let mut new = job(&key, 1);
        new.webhook = Some(Webhook { url: "http://127.0.0.1:9/".to_owned(), dialect: "wavespeed".to_owned() });
        let id = one.store.submit(new).await.unwrap().into_job().id;
        // An end is an end, and this one needs no worker.
        one.store.cancel(&key, &id).await.unwrap();
    }
    let mut attempts: BTreeMap<i64, u32> = BTreeMap::new();
    while one.store.open_deliveries().await.unwrap() > 0 {
        let places = Places::new(1_000);
        let take = |host: &Host| {
            let (store, places) = (host.store.clone(), places.clone());
            async move { store.due_deliveries(7, &places, Duration::from_mins(1)).await.unwrap() }
        };
        let (first, second) = tokio::join!(take(&one), take(&other));
        for Delivery { id, attempt, .. } in first.into_iter().chain(second) {
            assert_eq!(attempts.insert(id, attempt), None, "delivery {id} was taken twice");
            assert_eq!(other.store.delivered(id, attempt).await.unwrap(), Fenced::Done);
        }
    }
    assert_eq!(attempts.len(), rounds());
    assert!(attempts.values().all(|attempt| *attempt == 1), "{attempts:?}");
}
