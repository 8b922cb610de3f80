//! Who follows, and a store whose reads can fail.

use super::*;
use crate::refusal::Refusal;
use afterimage_core::{GenerationRequest, OutputFormat, Task};
use afterimage_jobs::progress::{Event, Events};
use afterimage_jobs::worker::Hints;
use afterimage_jobs::{
    CancelOutcome, JobId, JobSpec, JobState, JobStore, KeyId, KeyStore, MemoryStore, NewJob, NewKey, OutputSpec,
    Priority, SystemClock, WorkerId,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A store whose reads can fail, and somebody who follows the jobs in it.
struct World {
    store: MemoryStore,
    follower: Follower,
    key: KeyId,
}

impl World {
    async fn new() -> Self {
        let store = MemoryStore::new(Arc::new(SystemClock));
        let key = store.create_key(NewKey::default()).await.unwrap().0.id;
        let follower = Follower {
            store: Arc::new(store.clone()),
            hints: Arc::new(Hints::default()),
            events: Events::default(),
            stopping: CancellationToken::new(),
            leaving: CancellationToken::new(),
            neighbours: None,
        };
        Self { store, follower, key }
    }

    async fn submit(&self) -> JobId {
        let job = NewJob {
            id: JobId::random(),
            key: self.key.clone(),
            dialect: "test".to_owned(),
            model: "model".to_owned(),
            input: serde_json::Value::Null,
            spec: JobSpec {
                request: GenerationRequest::new(Task::TextToImage),
                sources: Vec::new(),
                output: OutputSpec { format: OutputFormat::Png },
                public_url: String::new(),
                rates: None,
                trace: None,
            },
            webhook: None,
            idempotency: None,
            priority: Priority::Normal,
            user: None,
            cost_micros: 0,
            start_within: None,
            kept_for: None,
            input_bytes: 0,
        };
        self.store.submit(job).await.unwrap().into_job().id
    }

    async fn cancel(&self, id: &JobId) {
        assert_eq!(self.store.cancel(&self.key, id).await.unwrap(), CancelOutcome::Cancelled);
        self.follower.hints.ended(id);
    }
}

fn is_progress(update: &Result<JobUpdate, Refusal>) -> bool {
    matches!(update, Ok(JobUpdate::Progress(_)))
}

fn over(update: Result<JobUpdate, Refusal>) -> JobState {
    match update {
        Ok(JobUpdate::Over(job)) => job.state,
        Ok(JobUpdate::Progress(event)) => panic!("{event:?}"),
        Err(refusal) => panic!("{refusal}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_ends_no_stream() {
    let world = World::new().await;
    let id = world.submit().await;
    let mut news = JobListener::of(&world.follower, &id, true);
    world.store.set_away(true);
    let quiet = timeout(RETRY * 3, next_update(&world.follower, &mut news, &id)).await;
    assert!(quiet.is_err(), "nothing is known about the job");
    // Progress needs no store.
    let attempt = world.follower.events.begin(&id, 1);
    attempt.publish(Event::Step { done: 1, total: 2 });
    assert!(is_progress(&next_update(&world.follower, &mut news, &id).await));
    drop(attempt);
    // Nor does an announced end that cannot be looked up.
    world.follower.hints.ended(&id);
    assert!(timeout(RETRY, next_update(&world.follower, &mut news, &id)).await.is_err());
    world.store.set_away(false);
    world.cancel(&id).await;
    assert_eq!(over(next_update(&world.follower, &mut news, &id).await), JobState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_delays_who_waits() {
    let world = World::new().await;
    let id = world.submit().await;
    world.store.set_away(true);
    let back = async {
        sleep(RETRY * 2).await;
        world.store.set_away(false);
        world.cancel(&id).await;
    };
    let (job, ()) = tokio::join!(until_ended(&world.follower, &id, Duration::from_mins(1)), back);
    assert_eq!(job.unwrap().state, JobState::Cancelled);
    world.store.set_away(true);
    let start = Instant::now();
    let outcome = until_ended(&world.follower, &id, RETRY * 2).await;
    assert!(matches!(outcome, Err(Refusal::Unavailable)) && start.elapsed() >= RETRY * 2);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_heard_of_without_polling() {
    let world = World::new().await;
    let [id, other] = [world.submit().await, world.submit().await];
    let mut news = JobListener::of(&world.follower, &id, false);
    assert!(timeout(POLL / 2, next_update(&world.follower, &mut news, &id)).await.is_err());
    let start = Instant::now();
    world.cancel(&other).await;
    world.cancel(&id).await;
    assert_eq!(over(next_update(&world.follower, &mut news, &id).await), JobState::Cancelled);
    assert!(start.elapsed() < POLL / 2, "{:?}", start.elapsed());
    // What had ended before anybody listened is seen at once.
    let mut late = JobListener::of(&world.follower, &id, false);
    over(next_update(&world.follower, &mut late, &id).await);
    assert!(start.elapsed() < POLL / 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_the_end_for_what_waits_and_not_for_what_runs() {
    let world = World::new().await;
    let runs = world.submit().await;
    let worker = WorkerId::random();
    let lease = world
        .store
        .claim(&worker, &afterimage_jobs::UNNAMED, Duration::from_mins(1))
        .await
        .unwrap()
        .unwrap()
        .lease(&worker);
    let waits = world.submit().await;
    let mut of_running = JobListener::of(&world.follower, &runs, false);
    let mut of_waiting = JobListener::of(&world.follower, &waits, false);
    let both = timeout(POLL / 2, async {
        tokio::select! {
            _ = next_update(&world.follower, &mut of_running, &runs) => {}
            _ = next_update(&world.follower, &mut of_waiting, &waits) => {}
        }
    });
    assert!(both.await.is_err(), "nothing happened yet");
    let start = Instant::now();
    world.follower.stopping.cancel();
    assert_eq!(over(next_update(&world.follower, &mut of_waiting, &waits).await), JobState::Queued);
    assert!(start.elapsed() < POLL / 2, "{:?}", start.elapsed());
    assert!(timeout(POLL + RETRY, next_update(&world.follower, &mut of_running, &runs)).await.is_err());
    // It goes on elsewhere, and this server leaves.
    let leaving = Follower { leaving: CancellationToken::new(), ..world.follower.clone() };
    let mut of_running_elsewhere = JobListener::of(&leaving, &runs, false);
    assert!(timeout(POLL / 2, next_update(&leaving, &mut of_running_elsewhere, &runs)).await.is_err());
    let start = Instant::now();
    leaving.leaving.cancel();
    assert_eq!(over(next_update(&leaving, &mut of_running_elsewhere, &runs).await), JobState::Running);
    assert!(start.elapsed() < POLL / 2, "{:?}", start.elapsed());
    // It is handed back: nobody here will run it any more.
    world.store.release(&lease).await.unwrap();
    world.follower.hints.ended(&runs);
    assert_eq!(over(next_update(&world.follower, &mut of_running, &runs).await), JobState::Queued);
}
