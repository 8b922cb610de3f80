//! Times the queue at a given depth: `cargo run --release -p afterimage-jobs --example queue_bench -- [JOBS] [SECONDS]`.
//!
//! Fills a fresh database in a temporary folder with JOBS waiting jobs (default 100000), nearly all of one key that is
//! at its limit of running jobs (the worst case for a claim), then measures submits at 200 per second for SECONDS
//! (default 20) with claims, results and lists in between.

use afterimage_core::{GenerationFacts, GenerationRequest, ModelFacts, OutputFormat, Size, Task};
use afterimage_jobs::{
    JobId, JobResult, JobSpec, JobStore, KeyId, KeyStore, ListFilter, NewJob, NewKey, OutputSpec, Priority, Source,
    SqliteStore, SystemClock, UNNAMED, WorkerId,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const LEASE: Duration = Duration::from_mins(10);
const SUBMITS_PER_SECOND: u32 = 200;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let jobs: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let seconds: u32 = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path(), Arc::new(SystemClock)).await?;
    let blocked = key(&store, Some(1)).await?;
    let open = key(&store, None).await?;
    fill(&store, &blocked, jobs).await?;
    let worker = WorkerId::random();
    // The blocked key's one running job.
    store.claim(&worker, &UNNAMED, LEASE).await?;

    println!(
        "{jobs} jobs waiting, of a key at its limit; {SUBMITS_PER_SECOND} submits/s of another key for {seconds} s"
    );
    println!("{:<22} {:>8} {:>9} {:>9} {:>9} {:>9}", "milliseconds", "count", "median", "p99", "p99.9", "max");
    let submitting = tokio::spawn(submit_steadily(store.clone(), open.clone(), seconds));
    let mut times = Times::default();
    while !submitting.is_finished() {
        let job = times.claims.time(store.claim(&worker, &UNNAMED, LEASE)).await?;
        if let Some(job) = job {
            let lease = job.lease(&worker);
            times.renewals.time(store.renew(&lease, LEASE)).await?;
            times.endings.time(store.succeed(&lease, result())).await?;
            times.results.time(store.job(&job.id)).await?;
        }
        times.lists.time(store.list(&blocked, &ListFilter { page_size: 20, ..ListFilter::default() })).await?;
        let filter = ListFilter { model: Some("other".to_owned()), page_size: 20, ..ListFilter::default() };
        times.filtered_lists.time(store.list(&blocked, &filter)).await?;
        times.depths.time(store.queue_depth()).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    submitting.await??.print("submit");
    times.claims.print("claim");
    times.renewals.print("renew");
    times.endings.print("succeed");
    times.results.print("result");
    times.lists.print("list");
    times.filtered_lists.print("list by model");
    times.depths.print("queue depth");
    Ok(())
}

#[derive(Default)]
struct Times {
    claims: Series,
    renewals: Series,
    endings: Series,
    results: Series,
    lists: Series,
    filtered_lists: Series,
    depths: Series,
}

#[derive(Default)]
struct Series(Vec<Duration>);

impl Series {
    async fn time<T>(&mut self, operation: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let value = operation.await;
        self.0.push(start.elapsed());
        value
    }

    fn print(mut self, name: &str) {
        self.0.sort();
        let at = |share: f64| match self.0.len() {
            0 => f64::NAN,
            count => self.0[((count - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3,
        };
        let (median, p99, p999, max) = (at(0.5), at(0.99), at(0.999), at(1.0));
        println!("{name:<22} {:>8} {median:>9.2} {p99:>9.2} {p999:>9.2} {max:>9.2}", self.0.len());
    }
}

async fn submit_steadily(store: SqliteStore, key: KeyId, seconds: u32) -> Result<Series, AnyError> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / SUBMITS_PER_SECOND);
    let mut submits = JoinSet::new();
    for _ in 0..seconds * SUBMITS_PER_SECOND {
        ticks.tick().await;
        let (store, job) = (store.clone(), new_job(&key));
        submits.spawn(async move {
            let start = Instant::now();
            store.submit(job).await.map(|_| start.elapsed())
        });
    }
    let mut series = Series::default();
    for elapsed in submits.join_all().await {
        series.0.push(elapsed?);
    }
    Ok(series)
}

async fn fill(store: &SqliteStore, key: &KeyId, jobs: usize) -> Result<(), AnyError> {
    let start = Instant::now();
    let mut submits = JoinSet::new();
    for _ in 0..jobs {
        let (store, job) = (store.clone(), new_job(key));
        submits.spawn(async move { store.submit(job).await.map(|_| ()) });
        if submits.len() >= 256
            && let Some(ended) = submits.join_next().await
        {
            ended??;
        }
    }
    while let Some(ended) = submits.join_next().await {
        ended??;
    }
    println!("filled in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

async fn key(store: &SqliteStore, concurrency: Option<u32>) -> Result<KeyId, AnyError> {
    Ok(store.create_key(NewKey { concurrency, ..NewKey::default() }).await?.0.id)
}

fn new_job(key: &KeyId) -> NewJob {
    let mut request = GenerationRequest::new(Task::ImageToImage { strength: 0.8 });
    request.prompt = Some("a lighthouse on a cliff, oil on canvas, evening light".to_owned());
    NewJob {
        id: JobId::random(),
        key: key.clone(),
        dialect: "wavespeed".to_owned(),
        model: "wavespeed-ai/flux-srpo/image-to-image".to_owned(),
        input: serde_json::json!({"image": "https://example.com/input.png", "prompt": request.prompt, "seed": -1}),
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
        input_bytes: 0,
        start_within: None,
        kept_for: None,
    }
}

fn result() -> JobResult {
    let size = Size::new(64, 64);
    let model = ModelFacts {
        name: "test".to_owned(),
        native_size: size,
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        checkers: Vec::new(),
    };
    JobResult { facts: GenerationFacts::new(1, size, 0, model), files: Vec::new(), run_ms: None }
}
