//! Following a job while it runs.

use crate::app::App;
use crate::http::layers::note_job;
use crate::refusal::Refusal;
use crate::submit::{FieldName, Submission, submit};
use crate::wait::{Announcements, CancelOnDrop, Observer, POLL, RETRY, is_over_here, seen};
use afterimage_jobs::progress::{Event, Watcher};
use afterimage_jobs::{ApiKey, Job, JobId};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How often a quiet stream shows that it lives.
const PING: Duration = Duration::from_secs(15);

/// An answer of server-sent events, kept alive by comments while there are none.
pub fn event_stream(events: impl Stream<Item = sse::Event> + Send + 'static) -> Response {
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(PING).text("ping")).into_response()
}

/// All there is to hear about a job: its progress, and when to look at the store.
pub struct JobNews {
    announcements: Announcements,
    watcher: Watcher,
    /// Nobody has looked since this began to listen.
    fresh: bool,
}

/// One thing that was heard.
pub enum Heard {
    /// Progress. The job runs.
    Progress(Event),
    /// The store may have something new.
    Look,
}

impl JobNews {
    /// Listens from now on; `previews`: whether to hear of them.
    pub fn of(observer: &Observer, job: &JobId, previews: bool) -> Self {
        let announcements = Announcements::of(observer, job);
        Self { announcements, watcher: observer.events.watch(job, previews), fresh: true }
    }

    /// No more previews, which take a share of the job's time.
    fn without_previews(&mut self) {
        self.watcher = self.watcher.without_previews();
    }

    /// The next thing, [`Heard::Look`] at once the first time and after `patience`. Progress that is there comes before
    /// the end.
    pub async fn next(&mut self, patience: Duration) -> Heard {
        if std::mem::take(&mut self.fresh) {
            return Heard::Look;
        }
        let (announcements, watcher) = (&mut self.announcements, &mut self.watcher);
        let progress = async {
            loop {
                match watcher.next().await {
                    Some(event) => return event,
                    // The attempt is over. That its job has ended or waits again is announced when it is recorded.
                    None => *watcher = watcher.renewed(),
                }
            }
        };
        tokio::select! {
            biased;
            event = progress => Heard::Progress(event),
            _ = timeout(patience, announcements.next()) => Heard::Look,
        }
    }
}

/// What happens to a job that is followed.
pub enum Happening {
    /// Progress.
    Progress(Event),
    /// It is over: the job has ended, or it waits while this server stops.
    Over(Box<Job>),
}

/// The next thing that happens to a job. A store that does not answer says nothing about it, so that is waited out.
///
/// # Errors
/// [`Refusal::NotFound`] when there is no such job.
pub async fn next_happening(observer: &Observer, news: &mut JobNews, id: &JobId) -> Result<Happening, Refusal> {
    let mut patience = POLL;
    loop {
        match news.next(patience).await {
            Heard::Progress(event) => return Ok(Happening::Progress(event)),
            Heard::Look => match seen(observer, id).await? {
                Some(job) if is_over_here(observer, &job) => return Ok(Happening::Over(Box::new(job))),
                Some(_) => patience = POLL,
                None if observer.stopping.is_cancelled() => return Err(Refusal::Unavailable),
                None => patience = RETRY,
            },
        }
    }
}

/// A job of a client that hears how far it is while it waits. Dropping this cancels the job unless it has ended, see
/// [`CancelOnDrop`]: a client that hangs up drops the answer that it is part of.
pub struct Following {
    observer: Observer,
    job: Job,
    news: JobNews,
    repeatable: bool,
    guard: Option<CancelOnDrop>,
}

impl Following {
    /// Submits and follows; `previews`: whether to hear of them.
    ///
    /// # Errors
    /// Those of [`submit`].
    pub async fn submit(
        app: &Arc<App>,
        key: &ApiKey,
        submission: Submission,
        field_name: FieldName,
        previews: bool,
    ) -> Result<Self, Refusal> {
        let repeatable = submission.idempotency.is_some();
        let job = submit(app, key, submission, field_name).await?.into_job();
        note_job(job.id.as_str());
        let observer = app.observer();
        let news = JobNews::of(&observer, &job.id, previews);
        let guard = Some(CancelOnDrop::new(app, key, &job.id, repeatable));
        Ok(Self { observer, job, news, repeatable, guard })
    }

    /// The job as it was submitted.
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// Whether its client can find the job again by repeating the request.
    pub const fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    /// The next thing that happens; see [`next_happening`]. Once the job has ended, dropping this does nothing more.
    ///
    /// # Errors
    /// As [`next_happening`].
    pub async fn next(&mut self) -> Result<Happening, Refusal> {
        let happening = next_happening(&self.observer, &mut self.news, &self.job.id).await?;
        if matches!(&happening, Happening::Over(job) if job.state.is_terminal()) {
            self.let_go();
        }
        Ok(happening)
    }

    /// From now on the job goes on without its client.
    pub fn let_go(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.disarm();
        }
    }

    /// No more previews, which take a share of the job's time.
    pub fn without_previews(&mut self) {
        self.news.without_previews();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::until_ended;
    use afterimage_core::{GenerationRequest, OutputFormat, Task};
    use afterimage_jobs::worker::Hints;
    use afterimage_jobs::{
        CancelOutcome, JobSpec, JobState, JobStore, KeyId, KeyStore, MemoryStore, NewJob, NewKey, OutputSpec, Priority,
        SystemClock, WorkerId,
    };
    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    /// A store whose reads can fail, and somebody who follows the jobs in it.
    struct World {
        store: MemoryStore,
        observer: Observer,
        key: KeyId,
    }

    impl World {
        async fn new() -> Self {
            let store = MemoryStore::new(Arc::new(SystemClock));
            let key = store.create_key(NewKey::default()).await.unwrap().0.id;
            let observer = Observer {
                store: Arc::new(store.clone()),
                hints: Arc::new(Hints::default()),
                events: afterimage_jobs::progress::Events::default(),
                stopping: CancellationToken::new(),
            };
            Self { store, observer, key }
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
            self.observer.hints.ended(id);
        }
    }

    fn is_progress(happening: &Result<Happening, Refusal>) -> bool {
        matches!(happening, Ok(Happening::Progress(_)))
    }

    fn over(happening: Result<Happening, Refusal>) -> JobState {
        match happening {
            Ok(Happening::Over(job)) => job.state,
            Ok(Happening::Progress(event)) => panic!("{event:?}"),
            Err(refusal) => panic!("{refusal}"),
        }
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_ends_no_stream() {
        let world = World::new().await;
        let id = world.submit().await;
        let mut news = JobNews::of(&world.observer, &id, true);
        world.store.set_away(true);
        let quiet = timeout(RETRY * 3, next_happening(&world.observer, &mut news, &id)).await;
        assert!(quiet.is_err(), "nothing is known about the job");
        // Progress needs no store.
        let attempt = world.observer.events.begin(&id);
        attempt.publish(Event::Step { done: 1, total: 2 });
        assert!(is_progress(&next_happening(&world.observer, &mut news, &id).await));
        drop(attempt);
        // Nor does an announced end that cannot be looked up.
        world.observer.hints.ended(&id);
        assert!(timeout(RETRY, next_happening(&world.observer, &mut news, &id)).await.is_err());
        world.store.set_away(false);
        world.cancel(&id).await;
        assert_eq!(over(next_happening(&world.observer, &mut news, &id).await), JobState::Cancelled);
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_delays_who_waits() {
        let world = World::new().await;
        let id = world.submit().await;
        world.store.set_away(true);
        let back = async {
            tokio::time::sleep(RETRY * 2).await;
            world.store.set_away(false);
            world.cancel(&id).await;
        };
        let (job, ()) = tokio::join!(until_ended(&world.observer, &id, Duration::from_mins(1)), back);
        assert_eq!(job.unwrap().state, JobState::Cancelled);
        world.store.set_away(true);
        let start = Instant::now();
        let outcome = until_ended(&world.observer, &id, RETRY * 2).await;
        assert!(matches!(outcome, Err(Refusal::Unavailable)) && start.elapsed() >= RETRY * 2);
    }

    #[tokio::test]
    async fn an_end_is_heard_of_without_polling() {
        let world = World::new().await;
        let [id, other] = [world.submit().await, world.submit().await];
        let mut news = JobNews::of(&world.observer, &id, false);
        assert!(timeout(POLL / 2, next_happening(&world.observer, &mut news, &id)).await.is_err());
        let start = Instant::now();
        world.cancel(&other).await;
        world.cancel(&id).await;
        assert_eq!(over(next_happening(&world.observer, &mut news, &id).await), JobState::Cancelled);
        assert!(start.elapsed() < POLL / 2, "{:?}", start.elapsed());
        // What had ended before anybody listened is seen at once.
        let mut late = JobNews::of(&world.observer, &id, false);
        over(next_happening(&world.observer, &mut late, &id).await);
        assert!(start.elapsed() < POLL / 2, "{:?}", start.elapsed());
    }

    #[tokio::test]
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
        let mut of_running = JobNews::of(&world.observer, &runs, false);
        let mut of_waiting = JobNews::of(&world.observer, &waits, false);
        let both = timeout(POLL / 2, async {
            tokio::select! {
                _ = next_happening(&world.observer, &mut of_running, &runs) => {}
                _ = next_happening(&world.observer, &mut of_waiting, &waits) => {}
            }
        });
        assert!(both.await.is_err(), "nothing happened yet");
        let start = Instant::now();
        world.observer.stopping.cancel();
        assert_eq!(over(next_happening(&world.observer, &mut of_waiting, &waits).await), JobState::Queued);
        assert!(start.elapsed() < POLL / 2, "{:?}", start.elapsed());
        assert!(timeout(POLL + RETRY, next_happening(&world.observer, &mut of_running, &runs)).await.is_err());
        // It is handed back: nobody here will run it any more.
        world.store.release(&lease).await.unwrap();
        world.observer.hints.ended(&runs);
        assert_eq!(over(next_happening(&world.observer, &mut of_running, &runs).await), JobState::Queued);
    }
}
