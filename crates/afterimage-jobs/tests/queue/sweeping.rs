//! The task that sweeps: whose clock it believes, whose files it removes, and what it leaves behind.

use crate::fixtures::{START, create_key, new_job};
use afterimage_jobs::retention::{Retention, sweep};
use afterimage_jobs::{
    Blobs, Clock, JobStore, KeyId, ManualClock, NewUpload, SqliteStore, StorageClaim, Sweeper, SystemClock, Timestamp,
    Upkeep, UploadFacts, UploadId, UploadStore,
};
use bytes::Bytes;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_secs(24 * 3600);
const INTERVAL: Duration = Duration::from_millis(10);

/// An installation with a clock that is set by hand.
struct Place {
    folder: TempDir,
    clock: Arc<ManualClock>,
    store: SqliteStore,
    blobs: Blobs,
    key: KeyId,
}

impl Place {
    async fn new(start: Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(start));
        let store = SqliteStore::open(folder.path(), clock.clone()).await.unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        let key = create_key(&store, "one", None).await;
        Self { folder, clock, store, blobs, key }
    }

    async fn upload(&self, kept_for: Option<Duration>) -> UploadId {
        let id = UploadId::random();
        let blob = Blobs::upload_path(&id);
        self.blobs.put(&blob, Bytes::from_static(b"x")).await.unwrap();
        let facts = UploadFacts { blob, content_type: "image/png".to_owned(), bytes: 1, width: 1, height: 1 };
        let (filename, declared_type) = (String::new(), String::new());
        let key = self.key.clone();
        let new = NewUpload { id: id.clone(), key, filename, declared_type, facts: Some(facts), kept_for };
        self.store.create_upload(new).await.unwrap();
        id
    }

    async fn is_there(&self, upload: &UploadId) -> bool {
        let row = self.store.upload(upload).await.unwrap().is_some();
        let file = self.blobs.get(&Blobs::upload_path(upload)).await.unwrap().is_some();
        assert!(file || !row, "the row goes first");
        row
    }

    async fn is_gone_soon(&self, upload: &UploadId) {
        let start = Instant::now();
        while self.is_there(upload).await {
            assert!(start.elapsed() < Duration::from_secs(20), "it is still there");
            sleep(INTERVAL).await;
        }
    }

    /// Starts to sweep, as a process does.
    fn sweep(&self, claim: Option<Arc<StorageClaim>>) -> CancellationToken {
        let stop = CancellationToken::new();
        let sweeper = Sweeper {
            store: Arc::new(self.store.clone()),
            blobs: self.blobs.clone(),
            claim,
            retention: Retention::default(),
            clock: self.clock.clone(),
            interval: INTERVAL,
        };
        tokio::spawn(sweeper.run(stop.clone()));
        stop
    }
}

/// No process has noted a time before: the newest row tells what time it was.
#[tokio::test]
async fn a_clock_that_is_wrong_from_the_start_deletes_nothing() {
    let place = Place::new(START).await;
    let upload = place.upload(None).await;
    place.clock.advance(8 * DAY);
    let stop = place.sweep(None);
    sleep(50 * INTERVAL).await;
    assert!(place.is_there(&upload).await);
    stop.cancel();
}

#[tokio::test]
async fn a_clock_that_jumps_for_a_while_deletes_nothing() {
    let place = Place::new(START).await;
    let brief = place.upload(Some(Duration::from_millis(100))).await;
    let (plain, lasting) = (place.upload(None).await, place.upload(Some(DAY)).await);
    let stop = place.sweep(None);
    place.clock.advance(Duration::from_millis(500));
    place.is_gone_soon(&brief).await;

    place.clock.advance(8 * DAY);
    sleep(50 * INTERVAL).await;
    assert!(place.is_there(&plain).await && place.is_there(&lasting).await);
    // The next process is told the same wrong time, and does not believe it either.
    stop.cancel();
    assert!(place.store.noted_time().await.unwrap().is_some_and(|noted| noted < START.plus(DAY)));
    let stop = place.sweep(None);
    sleep(50 * INTERVAL).await;
    assert!(place.is_there(&plain).await && place.is_there(&lasting).await);

    // Set right, it goes on as ever.
    place.clock.set(START.plus(Duration::from_secs(2)));
    let brief = place.upload(Some(Duration::from_millis(100))).await;
    place.clock.advance(Duration::from_millis(500));
    place.is_gone_soon(&brief).await;
    assert!(place.is_there(&plain).await && place.is_there(&lasting).await);
    stop.cancel();
}

#[tokio::test]
async fn files_of_another_database_are_not_orphans() {
    let now = SystemClock.now();
    let place = Place::new(now).await;
    // By this database's rows nobody knows this file; it is old enough to go.
    let theirs = place.folder.path().join(Blobs::upload_path(&UploadId::random()));
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, b"x").unwrap();
    let old = std::time::SystemTime::now() - 2 * DAY;
    fs::File::options().write(true).open(&theirs).unwrap().set_modified(old).unwrap();

    drop(StorageClaim::acquire(place.folder.path(), "theirs").unwrap());
    let claim = Arc::new(StorageClaim::acquire(place.folder.path(), "ours").unwrap());
    let stop = place.sweep(Some(Arc::clone(&claim)));
    let ours = place.upload(Some(Duration::from_millis(1))).await;
    place.clock.advance(Duration::from_millis(500));
    place.is_gone_soon(&ours).await;
    sleep(30 * INTERVAL).await;
    assert!(theirs.exists());
    stop.cancel();
    drop(claim);

    // The operator says that the other one is gone for good.
    fs::remove_file(place.folder.path().join(StorageClaim::FILE_NAME)).unwrap();
    while StorageClaim::acquire(place.folder.path(), "ours").is_err() {
        sleep(INTERVAL).await;
    }
    let claim = Arc::new(StorageClaim::acquire(place.folder.path(), "ours").unwrap());
    let stop = place.sweep(Some(claim));
    let start = Instant::now();
    while theirs.exists() {
        assert!(start.elapsed() < Duration::from_secs(20));
        sleep(INTERVAL).await;
    }
    stop.cancel();
}

/// Files under `folder` that contain `text`.
fn containing(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(containing(&path, text));
        } else if fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn what_was_deleted_is_in_no_file() {
    const PROMPT: &str = "a lighthouse that nobody may know of";
    let place = Place::new(START).await;
    let mut jobs = Vec::new();
    for number in 0..30 {
        let mut new = new_job(&place.key);
        new.input = json!({"prompt": PROMPT, "padding": "x".repeat(number * 400)});
        new.spec.request.prompt = Some(PROMPT.to_owned());
        jobs.push(new.id.clone());
        place.blobs.put(&Blobs::input_path(&new.id, 0), Bytes::from_static(PROMPT.as_bytes())).await.unwrap();
        place.store.submit(new).await.unwrap();
    }
    assert!(!containing(place.folder.path(), PROMPT).is_empty());
    assert_eq!(place.store.delete(&place.key, &jobs).await.unwrap().len(), 30);
    sweep(&place.store, &place.blobs, &Retention::default(), START).await.unwrap();
    place.store.forget_deleted().await.unwrap();
    assert_eq!(containing(place.folder.path(), PROMPT), [] as [String; 0]);
    // It is still a database.
    place.store.submit(new_job(&place.key)).await.unwrap();
}
