//! What the tests start from.

use crate::postgres::{Server, server};
use afterimage_core::{Field, GenerationFacts, GenerationRequest, ModelFacts, OutputFormat, Size, Task, Timings};
use afterimage_jobs::{
    Clock, DataFolderLock, Failure, FailureKind, FetchLease, Fetched, Job, JobId, JobResult, JobSpec, KeyId, KeyStore,
    ManualClock, MemoryStore, NewJob, NewKey, OutputSpec, PostgresOptions, PostgresStore, Priority, Queue, ResultFile,
    Source, SqliteStore, Store, Timestamp, UNNAMED, Webhook, WorkerId,
};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// The lease that tests claim with.
pub const LEASE: Duration = Duration::from_secs(12);

/// A moment to start at: 2026-01-01.
pub const START: Timestamp = Timestamp(1_767_225_600_000);

/// A clock that goes as tokio's does: in paused time the store, the workers and the test see the same time pass.
pub struct TokioClock {
    start: Timestamp,
    since: Instant,
    /// Milliseconds that it is ahead of the right time.
    ahead: AtomicI64,
}

impl TokioClock {
    /// A clock that shows `start` now.
    pub fn at(start: Timestamp) -> Self {
        Self { start, since: Instant::now(), ahead: AtomicI64::new(0) }
    }

    /// Sets it wrongly, or right again.
    pub fn set_ahead(&self, by: Duration) {
        self.ahead.store(by.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.start.plus(self.since.elapsed()).0 + self.ahead.load(Ordering::SeqCst))
    }
}

/// Which implementation a test runs against.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Memory,
    Sqlite,
    Postgres,
}

/// A store with a clock that stands still, and two keys.
pub struct Harness {
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub key: KeyId,
    pub other_key: KeyId,
    pub worker: WorkerId,
    backing: Backing,
}

enum Backing {
    Memory(MemoryStore),
    Sqlite { folder: TempDir, lock: Option<DataFolderLock> },
    Postgres { server: &'static Server, database: String },
}

/// Prepared databases: as migrated, and with a clock that tests set.
static TEMPLATES: OnceCell<()> = OnceCell::const_new();

/// The template of databases whose clock is the machine's.
pub const TEMPLATE: &str = "template_real";

/// The template of databases whose clock is that of the store's options.
const TEMPLATE_OF_TIME: &str = "template_time";

/// The server, with its templates; `None` where there is none.
pub async fn postgres() -> Option<&'static Server> {
    let server = server()?;
    TEMPLATES
        .get_or_init(async || {
            server.execute("postgres", format!("CREATE DATABASE {TEMPLATE}")).await;
            PostgresStore::migrate(&server.address(TEMPLATE)).await.unwrap();
            server.execute("postgres", format!("CREATE DATABASE {TEMPLATE_OF_TIME} TEMPLATE {TEMPLATE}")).await;
            let now = "CREATE OR REPLACE FUNCTION queue_now() RETURNS BIGINT LANGUAGE sql STABLE \
                       AS $$ SELECT current_setting('afterimage.now')::BIGINT $$";
            server.execute(TEMPLATE_OF_TIME, now.to_owned()).await;
        })
        .await;
    Some(server)
}

async fn open_postgres(server: &Server, database: &str, clock: &Arc<ManualClock>) -> PostgresStore {
    let options = PostgresOptions { test_clock: Some(clock.clone()), connections: 4, ..PostgresOptions::default() };
    PostgresStore::open(&server.address(database), options).await.unwrap()
}

impl Harness {
    /// `None` where the database that it takes is not to be had.
    pub async fn new(kind: Kind) -> Option<Self> {
        let clock = Arc::new(ManualClock::at(START));
        let (store, backing): (Arc<dyn Store>, Backing) = match kind {
            Kind::Memory => {
                let store = MemoryStore::new(clock.clone());
                (Arc::new(store.clone()), Backing::Memory(store))
            }
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let lock = DataFolderLock::acquire(folder.path()).unwrap();
                let store = SqliteStore::open(folder.path(), clock.clone()).await.unwrap();
                (Arc::new(store), Backing::Sqlite { folder, lock: Some(lock) })
            }
            Kind::Postgres => {
                let server = postgres().await?;
                let database = server.create_database(TEMPLATE_OF_TIME).await;
                let store = open_postgres(server, &database, &clock).await;
                (Arc::new(store), Backing::Postgres { server, database })
            }
        };
        let key = create_key(&*store, "one", None).await;
        let other_key = create_key(&*store, "two", None).await;
        Some(Self { store, clock, key, other_key, worker: WorkerId::random(), backing })
    }

    /// What a crash of the server and its next start do: every process that could hold a lease is gone.
    pub async fn restart(&mut self) -> Vec<JobId> {
        self.worker = WorkerId::random();
        match &mut self.backing {
            Backing::Memory(store) => store.expire_leases(),
            Backing::Sqlite { folder, lock } => {
                drop(lock.take());
                let held = DataFolderLock::acquire(folder.path()).unwrap();
                // The old store is dropped, not closed, as a crash would.
                let store = SqliteStore::open(folder.path(), self.clock.clone()).await.unwrap();
                let rescued = store.expire_leases(&held).await.unwrap();
                *lock = Some(held);
                self.store = Arc::new(store);
                rescued
            }
            Backing::Postgres { server, database } => {
                // Nothing is known of processes on other hosts; what they held has run out long after.
                let now = self.clock.now().0;
                let passed = format!(
                    "UPDATE deliveries SET next_at = {now} \
                     WHERE finished_at IS NULL AND failures = 0 AND next_at > {now}; \
                     UPDATE jobs SET fetch_until = NULL WHERE fetch_until IS NOT NULL; \
                     UPDATE jobs SET lease_until = 0 WHERE state = 'running'"
                );
                server.execute(database, passed).await;
                let store = open_postgres(server, database, &self.clock).await;
                self.store = Arc::new(store);
                self.store.rescue().await.unwrap()
            }
        }
    }

    pub async fn submit(&self, job: NewJob) -> Job {
        self.store.submit(job).await.unwrap().into_job()
    }

    pub async fn submit_plain(&self) -> Job {
        self.submit(new_job(&self.key)).await
    }

    pub async fn claim(&self) -> Job {
        self.store.claim(&self.worker, &UNNAMED, LEASE).await.unwrap().expect("a job to claim")
    }

    /// The job that a worker of `queues` is given.
    pub async fn claim_of(&self, queues: &[Queue]) -> Option<JobId> {
        self.store.claim(&self.worker, queues, LEASE).await.unwrap().map(|job| job.id)
    }

    pub async fn claim_fetch(&self) -> FetchLease {
        self.store.claim_fetch(&[], LEASE).await.unwrap().expect("a job to fetch for").1
    }

    pub async fn fetch_nothing(&self) {
        assert_eq!(self.store.claim_fetch(&[], LEASE).await.unwrap(), None);
    }

    pub async fn claim_nothing(&self) {
        assert_eq!(self.store.claim(&self.worker, &UNNAMED, LEASE).await.unwrap(), None);
    }

    pub async fn job(&self, id: &JobId) -> Job {
        self.store.job(id).await.unwrap().expect("the job")
    }

    pub async fn key_with_limit(&self, limit: u32) -> KeyId {
        create_key(&*self.store, "limited", Some(limit)).await
    }

    pub fn advance_seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub async fn create_key(store: &dyn Store, name: &str, concurrency: Option<u32>) -> KeyId {
    let new = NewKey { name: name.to_owned(), concurrency, ..NewKey::default() };
    KeyStore::create_key(store, new).await.unwrap().0.id
}

pub fn new_job(key: &KeyId) -> NewJob {
    let mut request = GenerationRequest::new(Task::ImageToImage { strength: 0.7 });
    request.prompt = Some("a lighthouse".to_owned());
    NewJob {
        id: JobId::random(),
        key: key.clone(),
        dialect: "wavespeed".to_owned(),
        model: "wavespeed-ai/flux-redux-dev".to_owned(),
        input: json!({"prompt": "a lighthouse", "seed": 0}),
        spec: JobSpec {
            request,
            sources: vec![stored_source()],
            output: OutputSpec { format: OutputFormat::Jpeg },
            public_url: String::new(),
            rates: None,
            trace: None,
        },
        webhook: None,
        idempotency: None,
        priority: Priority::Normal,
        user: None,
        cost_micros: 12_000,
        input_bytes: 100,
        start_within: None,
        kept_for: None,
    }
}

/// A job for the set of models `model`.
pub fn job_for(key: &KeyId, model: &str) -> NewJob {
    let mut new = new_job(key);
    new.spec.request.model = queue(model);
    new
}

/// The queue of the set of models `model`.
#[expect(clippy::unnecessary_wraps, reason = "that is what a queue's name is")]
pub fn queue(model: &str) -> Queue {
    Some(model.parse().unwrap())
}

pub fn stored_source() -> Source {
    Source::Blob { path: "inputs/x/0".to_owned() }
}

/// A job whose picture has to be fetched.
pub fn remote_job(key: &KeyId) -> NewJob {
    let mut new = new_job(key);
    new.spec.sources = vec![Source::Url { url: "https://example.com/a.png".to_owned() }];
    new.input_bytes = 0;
    new
}

/// What was fetched for [`remote_job`].
pub fn fetched() -> Fetched {
    Fetched { sources: vec![stored_source()], bytes: 40, cost_micros: Some(3000) }
}

pub fn with_webhook(mut job: NewJob) -> NewJob {
    job.webhook = Some(Webhook { url: "https://example.com/hook".to_owned(), dialect: "wavespeed".to_owned() });
    job
}

/// What a generation of one picture says of itself.
pub fn facts(seed: u64) -> GenerationFacts {
    let size = Size::new(64, 32);
    let model = ModelFacts {
        name: "test".to_owned(),
        native_size: size,
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        checkers: Vec::new(),
    };
    let timings = Timings { total_ms: 1233.5, ..Timings::default() };
    GenerationFacts { timings, steps_run: 2, ..GenerationFacts::new(seed, size, 1, model) }
}

pub fn result() -> JobResult {
    let file = ResultFile {
        blob: "results/x/1/y.jpg".to_owned(),
        content_type: "image/jpeg".to_owned(),
        bytes: 5,
        sha256: "00".repeat(32),
    };
    JobResult { facts: facts(u64::MAX), files: vec![file], run_ms: Some(1300) }
}

pub fn failure(kind: FailureKind) -> Failure {
    Failure { kind, field: Some(Field::Image), message: "it is broken".to_owned() }
}
