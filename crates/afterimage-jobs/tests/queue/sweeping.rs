//! The task that sweeps: whose clock it believes, whose files it removes, and what it leaves behind.

use crate::fixtures::{START, TokioClock, create_key, new_job};
use crate::waiting::until;
use afterimage_jobs::retention::{Retention, sweep};
use afterimage_jobs::{
    Blobs, Clock, KeyId, MemoryStore, NewUpload, SqliteStore, StorageClaim, Store, Sweeper, SystemClock, Timestamp,
    UploadFacts, UploadId,
};
use bytes::Bytes;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_secs(24 * 3600);
const INTERVAL: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_hours(1);

/// An installation with a clock that may be wrong.
struct Place {
    folder: TempDir,
    clock: Arc<TokioClock>,
    store: Arc<dyn Store>,
    blobs: Blobs,
    key: KeyId,
}

impl Place {
    /// One whose rows are in memory, so that time may be paused: what waits for a database on disk waits in real time.
    async fn new(start: Timestamp) -> Self {
        let clock = Arc::new(TokioClock::at(start));
        Self::of(tempfile::tempdir().unwrap(), clock.clone(), Arc::new(MemoryStore::new(clock))).await
    }

    async fn on_disk(start: Timestamp) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(TokioClock::at(start)));
        let store = SqliteStore::open(folder.path(), clock.clone()).await.unwrap();
        Self::of(folder, clock, Arc::new(store)).await
    }

    async fn of(folder: TempDir, clock: Arc<TokioClock>, store: Arc<dyn Store>) -> Self {
        let blobs = Blobs::local(folder.path()).unwrap();
        let key = create_key(&*store, "one", None).await;
        Self { folder, clock, store, blobs, key }
    }

    async fn upload(&self, kept_for: Option<Duration>) -> UploadId {
        let id = UploadId::random();
        let blob = Blobs::new_upload_path(&id, "image/png");
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
        let files = self.blobs.list("uploads").await.unwrap();
        let file = files.iter().any(|file| file.path.contains(upload.as_str()));
        assert!(file || !row, "the row goes first");
        row
    }

    async fn is_gone_soon(&self, upload: &UploadId) {
        until("the upload is gone", SOON, async || !self.is_there(upload).await).await;
    }

    /// Starts to sweep, as a process does.
    fn sweep(&self, claim: Option<Arc<StorageClaim>>) -> Sweeping {
        let stop = CancellationToken::new();
        let sweeper = Sweeper {
            store: Arc::clone(&self.store),
            blobs: self.blobs.clone(),
            claim,
            retention: Retention::default(),
            clock: self.clock.clone(),
            interval: INTERVAL,
        };
        Sweeping { task: tokio::spawn(sweeper.run(stop.clone())), stop }
    }
}

struct Sweeping {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Sweeping {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// No process has noted a time before: the newest row tells what time it was.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_from_the_start_deletes_nothing_for_hours() {
    let place = Place::new(START).await;
    let upload = place.upload(None).await;
    place.clock.set_ahead(8 * DAY);
    let sweeping = place.sweep(None);
    sleep(50 * INTERVAL).await;
    assert!(place.is_there(&upload).await);
    // It was looked at: one that stays so for six hours is believed.
    sleep(6 * 60 * INTERVAL).await;
    assert!(!place.is_there(&upload).await);
    sweeping.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_for_a_while_deletes_nothing() {
    let place = Place::new(START).await;
    let brief = place.upload(Some(Duration::from_millis(100))).await;
    let (plain, lasting) = (place.upload(None).await, place.upload(Some(DAY)).await);
    let sweeping = place.sweep(None);
    place.is_gone_soon(&brief).await;

    place.clock.set_ahead(8 * DAY);
    sleep(50 * INTERVAL).await;
    assert!(place.is_there(&plain).await && place.is_there(&lasting).await);
    // The next process is told the same wrong time, and does not believe it either.
    sweeping.stop().await;
    assert!(place.store.noted_time().await.unwrap().is_some_and(|noted| noted < START.plus(DAY)));
    let sweeping = place.sweep(None);
    sleep(50 * INTERVAL).await;
    assert!(place.is_there(&plain).await && place.is_there(&lasting).await);

    // Set right, it goes on as ever.
    place.clock.set_ahead(Duration::ZERO);
    let brief = place.upload(Some(Duration::from_millis(100))).await;
    place.is_gone_soon(&brief).await;
    assert!(place.is_there(&plain).await && place.is_there(&lasting).await);
    sweeping.stop().await;
}

#[tokio::test(start_paused = true)]
async fn files_of_another_database_are_not_orphans() {
    let now = SystemClock.now();
    let place = Place::new(now).await;
    // By this database's rows nobody knows this file; it is old enough to go.
    let theirs = place.folder.path().join(Blobs::new_upload_path(&UploadId::random(), "image/png"));
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, b"x").unwrap();
    let old = std::time::SystemTime::now() - 2 * DAY;
    fs::File::options().write(true).open(&theirs).unwrap().set_modified(old).unwrap();

    drop(StorageClaim::acquire(place.folder.path(), "theirs").unwrap());
    let claim = Arc::new(StorageClaim::acquire(place.folder.path(), "ours").unwrap());
    let sweeping = place.sweep(Some(Arc::clone(&claim)));
    let ours = place.upload(Some(Duration::from_millis(1))).await;
    place.is_gone_soon(&ours).await;
    sleep(30 * INTERVAL).await;
    assert!(theirs.exists());
    sweeping.stop().await;
    drop(claim);

    // The operator says that the other one is gone for good.
    fs::remove_file(place.folder.path().join(StorageClaim::FILE_NAME)).unwrap();
    let claim = Arc::new(StorageClaim::acquire(place.folder.path(), "ours").unwrap());
    let sweeping = place.sweep(Some(claim));
    until("their file is gone", SOON, async || !theirs.exists()).await;
    sweeping.stop().await;
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
    let place = Place::on_disk(START).await;
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
    sweep(&*place.store, &place.blobs, &Retention::default(), START).await.unwrap();
    place.store.forget_deleted().await.unwrap();
    assert_eq!(containing(place.folder.path(), PROMPT), [] as [String; 0]);
    // It is still a database.
    place.store.submit(new_job(&place.key)).await.unwrap();
}
