//! A host: a process as far as the queue is concerned.

use crate::postgres::Server;
use afterimage_core::{GenerationFacts, GenerationRequest, ModelFacts, OutputFormat, Size, Task};
use afterimage_jobs::progress::{Event, Events};
use afterimage_jobs::remote::{AskProcess, DatabaseTime, LastHeard, ProcessFacts, RemoteHosts};
use afterimage_jobs::worker::{Control, Execution, Executor, Hints, Produced, WorkerOptions, Workers};
use afterimage_jobs::{
    Blobs, Job, JobId, JobSpec, KeyId, KeyStore, NewJob, NewKey, OutputSpec, PostgresOptions, PostgresStore, Priority,
    ProcessId, Result, Source, Store, UNNAMED,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A migrated database on `server`, for one test.
pub async fn database(server: &Server) -> String {
    let name = format!("hosts{}", JobId::random().to_string().replace('-', ""));
    server.execute("postgres", format!("CREATE DATABASE {name}")).await;
    PostgresStore::migrate(&server.address(&name)).await.unwrap();
    name
}

/// Takes as long as its job's steps say, a hundredth of a second each, and tells of each.
struct WaitingEngine {
    events: Events,
}

#[async_trait]
impl Executor for WaitingEngine {
    async fn execute(&self, job: &Job, control: &Control) -> Execution {
        let attempt = self.events.begin(&job.id, job.attempt);
        let total = job.spec.request.steps;
        for done in 1..=total {
            tokio::select! {
                // Real time: how long a step takes is the engine's pace.
                () = sleep(Duration::from_millis(10)) => {
                    attempt.publish(Event::Step { done, total });
                    if attempt.previews_wanted() {
                        attempt.publish(Event::Preview(Bytes::from_static(b"preview")));
                    }
                }
                () = control.cancel.cancelled() => return Execution::Cancelled,
                () = control.abandon.cancelled() => return Execution::HandedBack,
            }
        }
        let model = ModelFacts {
            name: "waiting".to_owned(),
            native_size: Size::new(64, 64),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            checkers: Vec::new(),
        };
        let facts = GenerationFacts { steps_run: total, ..GenerationFacts::new(1, Size::new(64, 64), 1, model) };
        Execution::Succeeded(Box::new(Produced { facts, files: vec![picture_of(&job.id)] }))
    }
}

/// What comes of a job.
pub fn picture_of(job: &JobId) -> Bytes {
    Bytes::from(format!("picture of {job}"))
}

/// A process with connections of its own. Dropping it is its sudden end.
pub struct Host {
    pub store: PostgresStore,
    pub hints: Arc<Hints>,
    pub events: Events,
    pub workers: Option<Workers>,
    stop: CancellationToken,
    remote: JoinHandle<()>,
}

/// The files of all hosts.
pub fn blobs() -> Blobs {
    Blobs::memory()
}

impl Host {
    /// One that reaches the database by `address` and runs `slots` jobs at once.
    pub async fn start(address: &str, blobs: &Blobs, slots: usize) -> Self {
        let options = PostgresOptions { connections: 6 + slots as u32 / 4, ..PostgresOptions::default() };
        Self::start_with(address, blobs, slots, options).await
    }

    pub async fn start_with(address: &str, blobs: &Blobs, slots: usize, options: PostgresOptions) -> Self {
        Self::try_start(address, blobs, slots, options).await.unwrap()
    }

    /// [`Host::start_with`], unless the database is away.
    pub async fn try_start(address: &str, blobs: &Blobs, slots: usize, options: PostgresOptions) -> Result<Self> {
        Self::start_asking(address, blobs, slots, options, |_| None).await
    }

    /// One that says that it runs `slots` jobs at once; somebody else claims and ends them.
    pub async fn announcing(address: &str, blobs: &Blobs, slots: usize, options: PostgresOptions) -> Self {
        Self::start_saying(address, blobs, (0, slots), options, |_| None).await.unwrap()
    }

    /// One that asks others by what `ask` makes of what happens here, and is asked at its own id.
    pub async fn start_asking(
        address: &str,
        blobs: &Blobs,
        slots: usize,
        options: PostgresOptions,
        ask: impl FnOnce((&ProcessId, &Events)) -> Option<Arc<dyn AskProcess>>,
    ) -> Result<Self> {
        Self::start_saying(address, blobs, (slots, slots), options, ask).await
    }

    /// The same, which runs so many jobs at once and says that it were so many.
    async fn start_saying(
        address: &str,
        blobs: &Blobs,
        (slots, said): (usize, usize),
        options: PostgresOptions,
        ask: impl FnOnce((&ProcessId, &Events)) -> Option<Arc<dyn AskProcess>>,
    ) -> Result<Self> {
        let store = PostgresStore::open(address, options).await?;
        let (hints, outlet) = Hints::with_outlet();
        let (hints, events) = (Arc::new(hints), Events::default());
        let id = ProcessId::random();
        let ask = ask((&id, &events));
        let workers = (slots > 0).then(|| {
            let options =
                WorkerOptions { slots: vec![UNNAMED.to_vec(); slots], process: id.clone(), ..WorkerOptions::default() };
            let engine = Arc::new(WaitingEngine { events: events.clone() });
            let all: Arc<dyn Store> = Arc::new(store.clone());
            Workers::start(all, blobs.clone(), engine, hints.clone(), events.clone(), options)
        });
        let stop = CancellationToken::new();
        let internal_address = ask.is_some().then(|| id.to_string());
        let facts = move || ProcessFacts {
            id: id.clone(),
            role: "worker".to_owned(),
            host: "here".to_owned(),
            version: "0".to_owned(),
            models: vec!["default".to_owned()],
            slots: said,
            ready: said,
            devices: Vec::new(),
        };
        let remote = RemoteHosts {
            store: store.clone(),
            hints: hints.clone(),
            outlet,
            events: events.clone(),
            facts: Arc::new(facts),
            ask,
            address: internal_address,
            time: DatabaseTime::default(),
            heard: LastHeard::default(),
        };
        let remote = tokio::spawn(remote.run(stop.clone()));
        Ok(Self { store, hints, events, workers, stop, remote })
    }

    /// Makes a key.
    pub async fn key(&self) -> KeyId {
        self.store.create_key(NewKey::default()).await.unwrap().0.id
    }

    /// Ends in good order.
    pub async fn stop(mut self) {
        if let Some(workers) = self.workers.take() {
            workers.stop().await;
        }
        self.stop.cancel();
        (&mut self.remote).await.unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.remote.abort();
    }
}

/// A job that takes `steps` hundredths of a second.
pub fn job(key: &KeyId, steps: u32) -> NewJob {
    let mut request = GenerationRequest::new(Task::ImageToImage { strength: 0.7 });
    request.steps = steps;
    NewJob {
        id: JobId::random(),
        key: key.clone(),
        dialect: "wavespeed".to_owned(),
        model: "some/model".to_owned(),
        input: serde_json::json!({"prompt": "a lighthouse"}),
        spec: JobSpec {
            request,
            sources: vec![Source::Blob { path: "inputs/x/0".to_owned() }],
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
