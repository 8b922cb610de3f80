//! Waiting for a job's end on behalf of a synchronous request.

use crate::app::App;
use crate::http::layers::note_job;
use crate::refusal::Refusal;
use crate::submit::{FieldName, Submission, cancel, submit};
use afterimage_jobs::progress::Events;
use afterimage_jobs::worker::Hints;
use afterimage_jobs::{ApiKey, Error as StoreError, Job, JobId, JobState, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// The store is asked this often even without news. Within this process nothing happens unannounced, so this is for
/// what is decided elsewhere.
pub const POLL: Duration = Duration::from_secs(2);

/// The pause after the store did not answer.
pub const RETRY: Duration = Duration::from_millis(500);

/// What it takes to follow jobs: the store, which knows, and what is told within this process.
#[derive(Clone)]
pub struct Observer {
    /// Says what is the case.
    pub store: Arc<dyn Store>,
    /// Tells when to look.
    pub hints: Arc<Hints>,
    /// Progress of running jobs.
    pub events: Events,
    /// See [`App::stopping`].
    pub stopping: CancellationToken,
}

/// What is announced about one job within this process. Each announcement is a reason to look at the store and nothing
/// more: the store says what is the case.
pub struct Announcements {
    job: JobId,
    ends: broadcast::Receiver<JobId>,
    /// Until it was heard of.
    stopping: Option<CancellationToken>,
}

impl Announcements {
    /// Listens from now on. Listen first, then read the job, so that nothing falls in between.
    pub fn of(observer: &Observer, job: &JobId) -> Self {
        Self { job: job.clone(), ends: observer.hints.ends(), stopping: Some(observer.stopping.clone()) }
    }

    /// Completes when the job has left its worker or the queue, when that may have been missed, and once when this
    /// server begins to stop.
    pub async fn next(&mut self) {
        let (job, ends) = (&self.job, &mut self.ends);
        let ended = async {
            loop {
                match ends.recv().await {
                    // Others end all the time.
                    Ok(ended) if ended != *job => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let Some(stopping) = &self.stopping else { return ended.await };
        tokio::select! {
            () = ended => {}
            () = stopping.cancelled() => self.stopping = None,
        }
    }
}

/// The job as the store has it; `None` while the store does not answer, which says nothing about the job.
///
/// # Errors
/// [`Refusal::NotFound`] when there is no such job.
pub async fn seen(observer: &Observer, id: &JobId) -> Result<Option<Job>, Refusal> {
    match observer.store.job(id).await {
        Ok(Some(job)) => Ok(Some(job)),
        Ok(None) => Err(Refusal::NotFound("unknown job".to_owned())),
        Err(error @ StoreError::Unavailable { .. }) => {
            tracing::debug!(job_id = %id, %error, "the job cannot be read now");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether nothing more will come of `job` in this process: it has ended, or it waits and this server takes no more
/// jobs.
pub fn is_over_here(observer: &Observer, job: &Job) -> bool {
    job.state.is_terminal() || (job.state == JobState::Queued && observer.stopping.is_cancelled())
}

/// Waits until the job has ended, at most `timeout`; returns it as it then is, ended or not. When the server stops, a job
/// that it will not run any more is returned at once. A store that does not answer for a while only delays the answer.
///
/// # Errors
/// [`Refusal::NotFound`] when there is no such job; [`Refusal::Unavailable`] when the store does not answer at the end.
pub async fn until_ended(observer: &Observer, id: &JobId, timeout: Duration) -> Result<Job, Refusal> {
    let deadline = Instant::now() + timeout;
    let mut announcements = Announcements::of(observer, id);
    loop {
        let job = seen(observer, id).await?;
        let now = Instant::now();
        let pause = match job {
            Some(job) if now >= deadline || is_over_here(observer, &job) => return Ok(job),
            None if now >= deadline || observer.stopping.is_cancelled() => return Err(Refusal::Unavailable),
            Some(_) => POLL,
            None => RETRY,
        };
        // Without news the poll comes.
        let _ = timeout_at((now + pause).min(deadline), announcements.next()).await;
    }
}

/// Submits on behalf of a synchronous request and waits for the end, at most [`App::sync_timeout`]; returns the job as
/// it then is, ended or not. A client that hangs up meanwhile cancels it, see [`CancelOnDrop`].
///
/// # Errors
/// Those of [`submit`] and [`until_ended`].
pub async fn submit_and_wait(
    app: &Arc<App>,
    key: &ApiKey,
    submission: Submission,
    field_name: FieldName,
) -> Result<Job, Refusal> {
    let repeatable = submission.idempotency.is_some();
    let job = submit(app, key, submission, field_name).await?.into_job();
    note_job(job.id.as_str());
    let guard = CancelOnDrop::new(app, key, &job.id, repeatable);
    let job = until_ended(&app.observer(), &job.id, app.sync_timeout).await?;
    guard.disarm();
    Ok(job)
}

/// Why a request that waits gets an answer before its job has ended, as a clause.
pub fn why_not_done(app: &App) -> String {
    if app.stopping.is_cancelled() {
        return "the server stops before the request is done".to_owned();
    }
    format!("not done after {} s", app.sync_timeout.as_secs())
}

/// Cancels the job when dropped, unless disarmed: a client that hangs up on a synchronous request drops its future.
///
/// Not so for a request with an idempotency key. Its client may send it once more, after a connection that broke or
/// beside one that lives, and is promised the same job: neither sender may end it for the other by hanging up.
pub struct CancelOnDrop {
    armed: Option<(Arc<App>, ApiKey, JobId)>,
}

impl CancelOnDrop {
    /// Guards `id`; `repeatable`: the request has an idempotency key.
    pub fn new(app: &Arc<App>, key: &ApiKey, id: &JobId, repeatable: bool) -> Self {
        Self { armed: (!repeatable).then(|| (Arc::clone(app), key.clone(), id.clone())) }
    }

    /// The client got its answer; the job is left alone.
    pub fn disarm(mut self) {
        self.armed = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some((app, key, id)) = self.armed.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                tracing::info!(job_id = %id, "the client of a synchronous request is gone, the job is cancelled");
                if let Err(error) = cancel(&app, &key, &id).await {
                    tracing::warn!(%error, job_id = %id, "the job was not cancelled");
                }
            });
        }
    }
}
