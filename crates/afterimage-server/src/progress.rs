//! Following a job while it runs.

use crate::app::App;
use crate::engine_process::{Event, Watcher};
use crate::http::layers::note_job;
use crate::refusal::Refusal;
use crate::submit::{FieldName, Submission, submit};
use crate::wait::CancelOnDrop;
use afterimage_jobs::{ApiKey, Job, JobId};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// The store is asked this often whether the job has ended, since it may run in another process.
const POLL: Duration = Duration::from_millis(500);

/// Time in which a finished attempt's result is usually recorded.
const AFTER_ATTEMPT: Duration = Duration::from_millis(20);

/// How often a quiet stream shows that it lives.
const PING: Duration = Duration::from_secs(15);

/// An answer of server-sent events, kept alive by comments while there are none.
pub fn event_stream(events: impl Stream<Item = sse::Event> + Send + 'static) -> Response {
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(PING).text("ping")).into_response()
}

/// A job of a client that hears how far it is while it waits. Dropping this cancels the job unless it has ended, see
/// [`CancelOnDrop`]: a client that hangs up drops the answer that it is part of.
pub struct Following {
    app: Arc<App>,
    job: Job,
    watcher: Watcher,
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
        let watcher = app.events.watch(&job.id, previews);
        let guard = Some(CancelOnDrop::new(app, key, &job.id, repeatable));
        Ok(Self { app: Arc::clone(app), job, watcher, guard })
    }

    /// The job as it was submitted.
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// The next thing that happens, or `None` when the job has ended; see [`next_event`].
    pub async fn next(&mut self) -> Option<Event> {
        let event = next_event(&self.app, &mut self.watcher, &self.job.id).await;
        if event.is_none()
            && let Some(guard) = self.guard.take()
        {
            guard.disarm();
        }
        event
    }

    /// No more previews, which take a share of the job's time.
    pub fn without_previews(&mut self) {
        self.watcher = self.app.events.watch(&self.job.id, false);
    }

    /// The job as it is now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn now(&self) -> Result<Job, Refusal> {
        self.app.store.job(&self.job.id).await?.ok_or(Refusal::Internal)
    }
}

/// The next thing that happens to the job, or `None` when it has ended.
pub async fn next_event(app: &App, watcher: &mut Watcher, id: &JobId) -> Option<Event> {
    loop {
        match tokio::time::timeout(POLL, watcher.next()).await {
            Ok(Some(event)) => return Some(event),
            // The attempt is over: the job ends in a moment, or waits for another attempt.
            Ok(None) => {
                *watcher = watcher.renewed();
                tokio::time::sleep(AFTER_ATTEMPT).await;
            }
            Err(_) => {}
        }
        let job = app.store.job(id).await.ok().flatten()?;
        if job.state.is_terminal() {
            return None;
        }
    }
}
