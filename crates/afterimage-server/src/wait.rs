//! Waiting for a job's end on behalf of a synchronous request.

use crate::app::App;
use crate::http::layers::note_job;
use crate::refusal::Refusal;
use crate::submit::{FieldName, Submission, cancel, submit};
use afterimage_jobs::{ApiKey, Job, JobId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The store is asked this often even without news, since the job may end in another process.
const POLL: Duration = Duration::from_millis(500);

/// Waits until the job has ended, at most `timeout`; returns it as it then is, ended or not.
///
/// # Errors
/// Those of the store; [`Refusal::NotFound`] when there is no such job.
pub async fn until_ended(app: &App, id: &JobId, timeout: Duration) -> Result<Job, Refusal> {
    let deadline = Instant::now() + timeout;
    let mut ends = app.hints.ends();
    loop {
        let job = app.store.job(id).await?.ok_or_else(|| Refusal::NotFound("unknown job".to_owned()))?;
        let now = Instant::now();
        if job.state.is_terminal() || now >= deadline {
            return Ok(job);
        }
        let next_poll = (now + POLL).min(deadline);
        // Others end all the time; only news of this job, or having missed some, is worth a look before the poll.
        while let Ok(news) = timeout_at(next_poll, ends.recv()).await {
            match news {
                Ok(ended) if ended != *id => {}
                Err(RecvError::Closed) => {
                    sleep_until(next_poll).await;
                    break;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => break,
            }
        }
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
    let job = until_ended(app, &job.id, app.sync_timeout).await?;
    guard.disarm();
    Ok(job)
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
