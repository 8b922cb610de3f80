//! The worker loop with engines that misbehave on request.

use crate::fixtures::{START, TokioClock, create_key, facts, failure, job_for, new_job, queue};
use crate::waiting::{eventually, until};
use afterimage_jobs::progress::Events;
use afterimage_jobs::worker::{Control, Execution, Executor, Hints, Produced, RecordedEnd, WorkerOptions, Workers};
use afterimage_jobs::{
    Blobs, FailureKind, Job, JobId, JobState, JobStore, KeyId, MAX_ATTEMPTS, MemoryStore, NewJob, ResultFile, UNNAMED,
    WorkerId,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Does what the job's model says.
#[derive(Default)]
struct Engine {
    started: AtomicUsize,
    recorded: AtomicUsize,
    failed: AtomicUsize,
}

#[async_trait]
impl Executor for Engine {
    async fn execute(&self, job: &Job, control: &Control) -> Execution {
        self.started.fetch_add(1, Ordering::SeqCst);
        match job.model.as_str() {
            "picture" => picture(),
            "bad" => Execution::Failed(failure(FailureKind::BadInput)),
            "panic" => panic!("engine bug"),
            "crash" => Execution::Crashed { message: "killed".to_owned() },
            "no storage" => Execution::Failed(failure(FailureKind::Storage)),
            "gives up" => Execution::Cancelled,
            "stubborn" => std::future::pending().await,
            "slow" => {
                // In paused time.
                sleep(Duration::from_millis(150)).await;
                picture()
            }
            // Works until told to stop, and takes a moment to notice, like steps of a model.
            _ => {
                tokio::select! {
                    () = control.cancel.cancelled() => Execution::Cancelled,
                    () = control.abandon.cancelled() => {
                        // In paused time.
                        sleep(Duration::from_millis(20)).await;
                        if job.model == "late" { picture() } else { Execution::HandedBack }
                    }
                }
            }
        }
    }

    fn recorded(&self, job: &Job, end: RecordedEnd<'_>) {
        match end {
            RecordedEnd::Succeeded(result) => {
                assert_eq!(result.facts.seed, 7);
                self.recorded.fetch_add(1, Ordering::SeqCst);
            }
            RecordedEnd::Failed(failure) => {
                assert_eq!((job.model.as_str(), failure.kind), ("bad", FailureKind::BadInput));
                self.failed.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

fn picture() -> Execution {
    Execution::Succeeded(Box::new(Produced { facts: facts(7), files: vec![Bytes::from_static(b"pixels")] }))
}

/// In which what waits for nothing but itself is done.
const SOON: Duration = Duration::from_secs(5);

struct Setup {
    store: MemoryStore,
    blobs: Blobs,
    blob_folder: TempDir,
    engine: Arc<Engine>,
    hints: Arc<Hints>,
    key: KeyId,
}

fn fast() -> WorkerOptions {
    WorkerOptions {
        lease: Duration::from_millis(300),
        renew_every: Duration::from_millis(50),
        rescue_every: Duration::from_millis(50),
        poll_every: Duration::from_millis(20),
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(20),
        storage_patience: Duration::from_millis(100),
        finish_within: Duration::from_millis(400),
        hand_back_within: Duration::from_millis(200),
        ..WorkerOptions::default()
    }
}

impl Setup {
    async fn new() -> Self {
        let store = MemoryStore::new(Arc::new(TokioClock::at(START)));
        let blob_folder = tempfile::tempdir().unwrap();
        let key = create_key(&store, "one", None).await;
        Self {
            store,
            blobs: Blobs::local(blob_folder.path()).unwrap(),
            blob_folder,
            engine: Arc::default(),
            hints: Arc::default(),
            key,
        }
    }

    fn start(&self, options: WorkerOptions) -> Workers {
        let executor = self.engine.clone();
        Workers::start(
            Arc::new(self.store.clone()),
            self.blobs.clone(),
            executor,
            self.hints.clone(),
            Events::default(),
            options,
        )
    }

    async fn submit(&self, model: &str) -> JobId {
        let new = NewJob { model: model.to_owned(), ..new_job(&self.key) };
        self.submit_new(new).await
    }

    async fn submit_new(&self, new: NewJob) -> JobId {
        let queue = new.spec.request.model.clone();
        let id = self.store.submit(new).await.unwrap().into_job().id;
        self.hints.submitted(&queue);
        id
    }

    async fn job(&self, id: &JobId) -> Job {
        self.store.job(id).await.unwrap().unwrap()
    }

    async fn until(&self, id: &JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        eventually(SOON, async || {
            let job = self.job(id).await;
            if wanted(&job) { Ok(job) } else { Err(format!("still {:?}", job.state)) }
        })
        .await
    }

    async fn ended(&self, id: &JobId) -> Job {
        self.until(id, |job| job.state.is_terminal()).await
    }

    async fn started(&self, id: &JobId) -> Job {
        self.until(id, |job| job.state == JobState::Running).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_and_its_pictures_are_stored() {
    let setup = Setup::new().await;
    let mut ends = setup.hints.ends();
    let workers = setup.start(fast());
    let id = setup.submit("picture").await;
    assert_eq!(ends.recv().await.unwrap(), id);
    let job = setup.job(&id).await;
    let result = job.result.unwrap();
    let sha256 = Blobs::sha256(b"pixels");
    let file = ResultFile {
        blob: format!("results/{id}/1/{sha256}.jpg"),
        content_type: "image/jpeg".to_owned(),
        bytes: 6,
        sha256,
    };
    assert_eq!((result.files, result.facts), (vec![file.clone()], facts(7)));
    assert_eq!(setup.blobs.get(&file.blob).await.unwrap(), Some(Bytes::from_static(b"pixels")));
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn hints_make_it_immediate() {
    let setup = Setup::new().await;
    let slow = Duration::from_secs(60);
    let mut ends = setup.hints.ends();
    let workers = setup.start(WorkerOptions { poll_every: slow, renew_every: slow, lease: slow * 4, ..fast() });
    sleep(Duration::from_millis(20)).await;
    let start = Instant::now();
    let picture = setup.submit("picture").await;
    assert_eq!(ends.recv().await.unwrap(), picture);
    let endless = setup.submit("endless").await;
    setup.started(&endless).await;
    setup.store.cancel(&setup.key, &endless).await.unwrap();
    setup.hints.cancel_requested(&endless);
    assert_eq!(ends.recv().await.unwrap(), endless);
    assert_eq!(setup.job(&endless).await.state, JobState::Cancelled);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_for_a_busy_model_does_not_hold_up_another() {
    let setup = Setup::new().await;
    let slow = Duration::from_secs(60);
    let slots = vec![vec![None, queue("dev")], vec![queue("srpo")], vec![queue("srpo")]];
    let workers = setup.start(WorkerOptions { slots, poll_every: slow, renew_every: slow, lease: slow * 4, ..fast() });
    let job = |kind: &str, model: &str| NewJob { model: kind.to_owned(), ..job_for(&setup.key, model) };
    let endless = setup.submit_new(job("endless", "dev")).await;
    setup.started(&endless).await;
    let behind = setup.submit_new(job("picture", "dev")).await;
    let unnamed = setup.submit("picture").await;
    let nobodys = setup.submit_new(job("picture", "other")).await;
    for _ in 0..3 {
        let free = setup.submit_new(job("picture", "srpo")).await;
        assert_eq!(setup.ended(&free).await.state, JobState::Succeeded);
    }
    for waiting in [&behind, &unnamed] {
        assert_eq!(setup.job(waiting).await.state, JobState::Queued);
    }
    setup.store.cancel(&setup.key, &endless).await.unwrap();
    setup.hints.cancel_requested(&endless);
    for next in [&unnamed, &behind] {
        assert_eq!(setup.ended(next).await.state, JobState::Succeeded);
    }
    assert_eq!(setup.job(&nobodys).await.state, JobState::Queued, "no slot serves it");
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_hints_polling_and_renewing_find_the_same() {
    let setup = Setup::new().await;
    let workers = setup.start(fast());
    let new = NewJob { model: "endless".to_owned(), ..new_job(&setup.key) };
    let id = setup.store.submit(new).await.unwrap().into_job().id;
    setup.started(&id).await;
    // Another job's request must not touch this one.
    setup.hints.cancel_requested(&JobId::random());
    sleep(Duration::from_millis(400)).await;
    assert_eq!(setup.job(&id).await.state, JobState::Running, "renewed beyond its first lease");
    setup.store.cancel(&setup.key, &id).await.unwrap();
    assert_eq!(setup.ended(&id).await.state, JobState::Cancelled);
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_final_and_crashes_are_not_until_the_second() {
    let setup = Setup::new().await;
    let workers = setup.start(fast());
    let [bad, panicking, crashing, behind] = [
        setup.submit("bad").await,
        setup.submit("panic").await,
        setup.submit("crash").await,
        setup.submit("picture").await,
    ];
    assert_eq!(setup.ended(&bad).await.failure, Some(failure(FailureKind::BadInput)));
    for id in [panicking, crashing] {
        let job = setup.ended(&id).await;
        assert_eq!((job.attempt, job.quarantined, job.failure.unwrap().kind), (2, true, FailureKind::Crashed));
    }
    assert_eq!(setup.ended(&behind).await.state, JobState::Succeeded);
    assert_eq!(setup.engine.started.load(Ordering::SeqCst), 6);
    workers.stop().await;
    let told = [&setup.engine.recorded, &setup.engine.failed].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(told, [1, 1], "ends that the executor caused");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_renew_loses_its_job_and_its_late_result() {
    let setup = Setup::new().await;
    // As when the process is paused: the lease runs out before the first renewal.
    let workers = setup.start(WorkerOptions { renew_every: 10 * fast().lease, ..fast() });
    let id = setup.submit("late").await;
    setup.started(&id).await;
    setup.until(&id, |job| job.unclean_ends == 1).await;
    // Somebody else takes it and finishes, as after a pause of this process.
    let other = WorkerId::random();
    let claimed = setup.store.claim(&other, &UNNAMED, Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!((&claimed.id, claimed.attempt), (&id, 2));
    // Now it renews, finds the lease lost and stops its job, whose pictures are thrown away.
    until("the job has left its worker", SOON, async || workers.busy() == 0).await;
    assert!(setup.blobs.list("results").await.unwrap().is_empty());
    assert_eq!(setup.job(&id).await.attempt, 2);
    assert_eq!(setup.job(&id).await.state, JobState::Running);
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_finishes_or_hands_back() {
    let setup = Setup::new().await;
    let workers = setup.start(WorkerOptions { slots: vec![UNNAMED.to_vec(); 3], ..fast() });
    let (slow, endless, stubborn) =
        (setup.submit("slow").await, setup.submit("endless").await, setup.submit("stubborn").await);
    for id in [&slow, &endless, &stubborn] {
        setup.started(id).await;
    }
    let waiting = setup.submit("picture").await;
    let start = Instant::now();
    workers.stop().await;
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(setup.job(&slow).await.state, JobState::Succeeded);
    for id in [&endless, &stubborn, &waiting] {
        let job = setup.job(id).await;
        assert_eq!((job.state, job.unclean_ends, job.retries), (JobState::Queued, 0, 0), "{}", job.model);
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_waits_for_storage_to_come_back() {
    let setup = Setup::new().await;
    // A file where the folder should be.
    let obstacle = setup.blob_folder.path().join("results");
    std::fs::write(&obstacle, "").unwrap();
    let workers = setup.start(WorkerOptions { storage_patience: Duration::from_secs(10), ..fast() });
    let id = setup.submit("picture").await;
    setup.started(&id).await;
    sleep(Duration::from_millis(100)).await;
    std::fs::remove_file(&obstacle).unwrap();
    let job = setup.ended(&id).await;
    assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn storage_that_stays_away_ends_the_job_after_five_attempts() {
    let setup = Setup::new().await;
    std::fs::write(setup.blob_folder.path().join("results"), "").unwrap();
    let workers = setup.start(WorkerOptions { storage_patience: Duration::ZERO, ..fast() });
    for model in ["picture", "no storage"] {
        let id = setup.submit(model).await;
        let job = setup.ended(&id).await;
        assert_eq!((job.state, job.attempt), (JobState::Failed, MAX_ATTEMPTS), "{model}");
        assert_eq!(job.failure.unwrap().kind, FailureKind::Storage);
    }
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_wait_are_left_alone_while_the_storage_is_away() {
    let setup = Setup::new().await;
    let folder = setup.blob_folder.path();
    // A file in place of the whole folder.
    let elsewhere = folder.with_extension("elsewhere");
    std::fs::rename(folder, &elsewhere).unwrap();
    std::fs::write(folder, "").unwrap();
    let workers = setup.start(fast());
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(setup.submit("picture").await);
    }
    setup.until(&ids[0], |job| job.retries == 1).await;
    // Long enough for all to be given up.
    sleep(Duration::from_mins(10)).await;
    for id in &ids {
        let job = setup.job(id).await;
        // Each slot had met one when it was found out.
        assert!(job.state == JobState::Queued && job.retries <= 1, "{job:?}");
    }
    std::fs::remove_file(folder).unwrap();
    std::fs::rename(&elsewhere, folder).unwrap();
    for id in &ids {
        assert_eq!(setup.ended(id).await.state, JobState::Succeeded);
    }
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_waits_for_the_database_to_come_back() {
    let setup = Setup::new().await;
    let workers = setup.start(fast());
    let id = setup.submit("slow").await;
    setup.started(&id).await;
    setup.store.set_away(true);
    // Longer than the lease: nobody could renew it, and nobody may hold that against the job.
    sleep(Duration::from_millis(500)).await;
    assert!(setup.store.submit(new_job(&setup.key)).await.is_err());
    setup.store.set_away(false);
    let job = setup.ended(&id).await;
    assert_eq!((job.state, job.attempt, job.unclean_ends), (JobState::Succeeded, 1, 0));
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hint_alone_stops_nobody() {
    let setup = Setup::new().await;
    let workers = setup.start(fast());
    let id = setup.submit("endless").await;
    setup.started(&id).await;
    // Whoever can send hints, the store's flag decides.
    for _ in 0..10 {
        setup.hints.cancel_requested(&id);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(setup.job(&id).await.state, JobState::Running);
    setup.store.cancel(&setup.key, &id).await.unwrap();
    setup.hints.cancel_requested(&id);
    assert_eq!(setup.ended(&id).await.state, JobState::Cancelled);
    workers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stops_unasked_has_crashed() {
    let setup = Setup::new().await;
    let workers = setup.start(fast());
    let id = setup.submit("gives up").await;
    let job = setup.ended(&id).await;
    assert_eq!((job.attempt, job.quarantined, job.failure.unwrap().kind), (2, true, FailureKind::Crashed));
    let picture = setup.submit("picture").await;
    setup.ended(&picture).await;
    workers.stop().await;
    assert_eq!(setup.engine.recorded.load(Ordering::SeqCst), 1, "of what became a result");
}
