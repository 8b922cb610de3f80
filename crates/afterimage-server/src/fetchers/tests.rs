//! Pools on one store, with a host on loopback.

use super::job::LEASE;
use super::*;
use crate::cost::Rates;
use crate::fetch::testing::{Names, TestServer, outbound_to, response};
use crate::fetch::{FetchLimits, Fetcher};
use crate::free_space::Disks;
use crate::picture_check::PictureChecker;
use crate::storage_room::StorageRoom;
use crate::waiting::{eventually, until};
use afterimage_core::{GenerationRequest, OutputFormat, OutputFormat as Format, Task};
use afterimage_imaging::{OutputMetadata, Picture, encode};
use afterimage_jobs::worker::Hints;
use afterimage_jobs::{
    Blobs, Job, JobId, JobSpec, JobState, KeyStore, MemoryStore, NewJob, NewKey, OutputSpec, Priority, Source,
    StorageGate, Store, SystemClock,
};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

struct Setup {
    store: Arc<dyn Store>,
    hints: Arc<Hints>,
    folder: TempDir,
    host: TestServer,
    key: afterimage_jobs::KeyId,
    stop: CancellationToken,
    quota: Option<u64>,
}

impl Setup {
    async fn new() -> Self {
        let pixels = vec![9; 512 * 512 * 3];
        let picture = Picture::from_rgb(512, 512, pixels).unwrap();
        let file = encode(&picture, Format::Png, &OutputMetadata::new("{}")).unwrap();
        let store = MemoryStore::new(Arc::new(SystemClock));
        let key = store.create_key(NewKey::default()).await.unwrap().0.id;
        Self {
            store: Arc::new(store),
            hints: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            host: TestServer::start(move |_, _| response("200 OK", "", &file)).await,
            key,
            stop: CancellationToken::new(),
            quota: None,
        }
    }

    fn start(&self) -> AbortOnDropHandle<()> {
        let outbound = outbound_to(Names::new([]), &[self.host.address]);
        let parts = FetchParts {
            store: Arc::clone(&self.store),
            storage: StorageGate::new(Blobs::local(self.folder.path()).unwrap()),
            blobs: Blobs::local(self.folder.path()).unwrap(),
            hints: Arc::clone(&self.hints),
            room: Arc::new(StorageRoom::new(self.quota, Disks::of(Vec::new()))),
            pictures: PictureChecker::default(),
            fetcher: Fetcher::new(outbound, FetchLimits::default()),
        };
        AbortOnDropHandle::new(tokio::spawn(run_fetchers(parts, self.stop.clone())))
    }

    async fn submit(&self) -> JobId {
        let request = GenerationRequest { steps: 25, ..GenerationRequest::new(Task::ImageToImage { strength: 0.8 }) };
        let url = format!("http://{}/a.png", self.host.address);
        let new = NewJob {
            id: JobId::random(),
            key: self.key.clone(),
            dialect: "test".to_owned(),
            model: "model".to_owned(),
            input: serde_json::Value::Null,
            spec: JobSpec {
                request,
                sources: vec![Source::Url { url }],
                output: OutputSpec { format: OutputFormat::Png },
                public_url: String::new(),
                rates: Some(Rates::default()),
                trace: None,
            },
            webhook: None,
            idempotency: None,
            priority: Priority::Normal,
            user: None,
            cost_micros: 12_000,
            input_bytes: 0,
            start_within: None,
            kept_for: None,
        };
        self.store.submit(new).await.unwrap().into_job().id
    }

    async fn until(&self, id: &JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        eventually(Duration::from_secs(20), async || {
            let job = self.store.job(id).await.unwrap().unwrap();
            if wanted(&job) { Ok(job) } else { Err(format!("{job:?}")) }
        })
        .await
    }
}

#[tokio::test]
async fn two_pools_on_one_store_fetch_each_picture_once() {
    let setup = Setup::new().await;
    let _pools = [setup.start(), setup.start()];
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(setup.submit().await);
        setup.hints.awaiting();
    }
    for id in &ids {
        let job = setup.until(id, |job| !job.spec.awaits_sources()).await;
        assert_eq!((job.state, job.cost_micros), (JobState::Queued, 3000), "priced by the size of the picture");
        let [Source::Blob { path }] = job.spec.sources.as_slice() else { panic!("{:?}", job.spec.sources) };
        assert_eq!(std::fs::metadata(setup.folder.path().join(path)).unwrap().len(), job.input_bytes);
    }
    assert_eq!(setup.host.received().len(), ids.len());
}

#[tokio::test]
async fn storage_that_comes_back_costs_a_pause() {
    let setup = Setup::new().await;
    // A file where a folder should be fails for every user, root included.
    let blocked = setup.folder.path().join("inputs");
    std::fs::write(&blocked, b"").unwrap();
    let _pool = setup.start();
    // Nobody announces it.
    let id = setup.submit().await;
    let job = setup.until(&id, |job| job.retries == 1).await;
    assert_eq!((job.state, job.input_bytes), (JobState::Queued, 0));
    std::fs::remove_file(&blocked).unwrap();
    setup.until(&id, |job| !job.spec.awaits_sources()).await;
}

#[tokio::test]
async fn what_does_not_fit_into_the_quota_is_not_stored() {
    let setup = Setup { quota: Some(10), ..Setup::new().await };
    let _pool = setup.start();
    let id = setup.submit().await;
    let job = setup.until(&id, |job| job.retries == 1).await;
    assert_eq!((job.state, job.input_bytes), (JobState::Queued, 0));
    assert!(!setup.folder.path().join("inputs").join(id.as_str()).exists());
}

#[tokio::test]
async fn a_stop_gives_back_what_is_not_finished() {
    let setup = Setup::new().await;
    let silent = TestServer::start(|_, _| crate::fetch::testing::Answer::Hang).await;
    let setup = Setup { host: silent, ..setup };
    let pool = setup.start();
    setup.submit().await;
    until("the host is asked", Duration::from_secs(20), async || !setup.host.received().is_empty()).await;
    assert!(setup.store.claim_fetch(&[], LEASE).await.unwrap().is_none());
    setup.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), pool).await.unwrap().unwrap();
    let (_, lease) = setup.store.claim_fetch(&[], LEASE).await.unwrap().unwrap();
    assert_eq!(lease.number, 2);
}
