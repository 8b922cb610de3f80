//! What is done for the store as a whole: checks and sweeps that many hosts do, or one for all.

use crate::host::{Host, blobs, database, job};
use crate::postgres::{Server, server};
use afterimage_jobs::retention::{Retention, sweep_orphans};
use afterimage_jobs::{
    Blobs, Clock, JobId, JobStore, NewUpload, PostgresOptions, PostgresStore, SystemClock, Upkeep, UploadFacts,
    UploadId, UploadStore,
};
use bytes::Bytes;
use sqlx::{Connection, Executor, Row};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_check_waits_for_nobody_elses() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let host = Host::start(&server.address(&name), &blobs(), 0).await;
    // Somebody who vanished in the middle of a check, by the name that all once shared.
    let mut vanished = sqlx::PgConnection::connect(&server.address(&name)).await.unwrap();
    vanished.execute("BEGIN; INSERT INTO settings (name, value) VALUES ('write_check', '')").await.unwrap();
    let start = Instant::now();
    host.store.check_writable().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    drop(vanished);
    let mut connection = sqlx::PgConnection::connect(&server.address(&name)).await.unwrap();
    let left = "SELECT COUNT(*)::BIGINT AS checks FROM settings WHERE name LIKE 'write%'";
    assert_eq!(connection.fetch_one(left).await.unwrap().get::<i64, _>("checks"), 0, "checks leave nothing");
}

/// Files of each kind, with a row and without.
const FILES: usize = 150;

#[tokio::test(flavor = "multi_thread")]
async fn looking_for_files_without_a_row_asks_for_many_at_once() {
    // One's own: transactions of others are not counted.
    let Some(server) = Server::start() else { return };
    let name = database(&server).await;
    let address = server.address(&name);
    let host = Host::start(&address, &blobs(), 0).await;
    let key = host.key().await;
    host.stop().await;
    let options = PostgresOptions { connections: 1, ..PostgresOptions::default() };
    let store = PostgresStore::open(&address, options.clone()).await.unwrap();
    let (files, mut wanted) = (Blobs::memory(), Vec::new());
    for _ in 0..FILES {
        let id = store.submit(job(&key, 1)).await.unwrap().into_job().id;
        wanted.push(Blobs::input_path(&id, 0));
        let id = UploadId::random();
        let blob = Blobs::new_upload_path(&id, "image/png");
        wanted.push(blob.clone());
        let facts = UploadFacts { blob, content_type: "image/png".to_owned(), bytes: 1, width: 1, height: 1 };
        let (filename, declared_type) = (String::new(), String::new());
        let new = NewUpload { id, key: key.clone(), filename, declared_type, facts: Some(facts), kept_for: None };
        store.create_upload(new).await.unwrap();
    }
    let mut orphans = Vec::new();
    for _ in 0..FILES {
        orphans.push(Blobs::input_path(&JobId::random(), 0));
        orphans.push(Blobs::new_upload_path(&UploadId::random(), "image/png"));
    }
    for path in wanted.iter().chain(&orphans) {
        files.put(path, Bytes::from_static(b"x")).await.unwrap();
    }
    // A session that ends has told all that it did.
    store.close().await;
    let before = transactions(&server, &name).await;
    let store = PostgresStore::open(&address, options).await.unwrap();
    let later = SystemClock.now().plus(Duration::from_hours(48));
    let removed = sweep_orphans(&store, &files, &Retention::default(), later).await.unwrap();
    store.close().await;
    let asked = transactions(&server, &name).await - before;
    println!("{} files were judged by {asked} transactions", wanted.len() + orphans.len());
    assert_eq!(removed, orphans.len() as u64);
    let mut left = Vec::new();
    for folder in ["inputs", "uploads"] {
        left.extend(files.list(folder).await.unwrap().into_iter().map(|file| file.path));
    }
    left.sort();
    wanted.sort();
    assert_eq!(left, wanted);
    assert!(asked < 20, "{asked} transactions");
}

async fn transactions(server: &Server, name: &str) -> i64 {
    let mut connection = sqlx::PgConnection::connect(&server.address("postgres")).await.unwrap();
    let query = sqlx::query("SELECT xact_commit AS done FROM pg_stat_database WHERE datname = $1");
    query.bind(name).fetch_one(&mut connection).await.unwrap().get("done")
}
