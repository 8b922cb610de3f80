//! Requests whose client waits until the job has ended, or follows it.

use super::follower::{EndSignals, Follower, RETRY, is_over_here, seen};
use super::hang_up::CancelOnDrop;
use super::listener::{JobListener, JobUpdate, next_update};
use crate::http::layers::note_job;
use crate::refusal::Refusal;
use crate::submit::{FieldName, Submission, Submitter, submit};
use afterimage_jobs::{ApiKey, Job, JobId};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What it takes to run a request while its client waits. Clones share all of it.
#[derive(Clone)]
pub struct SyncRunner {
    /// Makes the job.
    pub submitter: Submitter,
    /// Follows it.
    pub follower: Follower,
    /// How long a client may wait.
    pub timeout: Duration,
}

impl SyncRunner {
    /// Submits on behalf of a synchronous request and waits for the end, at most [`SyncRunner::timeout`]; returns the job
    /// as it then is, ended or not. A client that hangs up meanwhile cancels it, see [`CancelOnDrop`].
    ///
    /// # Errors
    /// Those of [`submit`] and [`until_ended`].
    pub async fn run(&self, key: &ApiKey, submission: Submission, field_name: FieldName) -> Result<Job, Refusal> {
        let repeatable = submission.idempotency.is_some();
        let job = submit(&self.submitter, key, submission, field_name).await?.into_job();
        note_job(job.id.as_str());
        let guard = CancelOnDrop::new(&self.follower, key, &job.id, repeatable);
        let job = until_ended(&self.follower, &job.id, self.timeout).await?;
        guard.disarm();
        Ok(job)
    }

    /// Submits on behalf of a client that hears how far its job is; `previews`: whether to hear of them.
    ///
    /// # Errors
    /// Those of [`submit`].
    pub async fn follow(
        &self,
        key: &ApiKey,
        submission: Submission,
        field_name: FieldName,
        previews: bool,
    ) -> Result<FollowedJob, Refusal> {
        let repeatable = submission.idempotency.is_some();
        let job = submit(&self.submitter, key, submission, field_name).await?.into_job();
        note_job(job.id.as_str());
        let follower = self.follower.clone();
        let news = JobListener::of(&follower, &job.id, previews);
        let guard = Some(CancelOnDrop::new(&follower, key, &job.id, repeatable));
        Ok(FollowedJob { follower, job, news, repeatable, guard })
    }

    /// Why a request that waits gets an answer before its job has ended, as a clause.
    pub fn why_not_done(&self) -> String {
        if self.follower.stopping.is_cancelled() {
            return "the server stops before the request is done".to_owned();
        }
        format!("not done after {} s", self.timeout.as_secs())
    }
}

/// Waits until the job has ended, at most `timeout`; returns it as it then is, ended or not. When the server stops, a job
/// that it will not run any more is returned at once. A store that does not answer for a while only delays the answer.
///
/// # Errors
/// [`Refusal::NotFound`] when there is no such job; [`Refusal::Unavailable`] when the store does not answer at the end.
pub async fn until_ended(follower: &Follower, id: &JobId, timeout: Duration) -> Result<Job, Refusal> {
    let deadline = Instant::now() + timeout;
    let mut announcements = EndSignals::of(follower, id);
    loop {
        let job = seen(follower, id).await?;
        let now = Instant::now();
        let pause = match job {
            Some(job) if now >= deadline || is_over_here(follower, &job) => return Ok(job),
            None if now >= deadline || follower.stopping.is_cancelled() => return Err(Refusal::Unavailable),
            Some(_) => follower.poll(),
            None => RETRY,
        };
        // Without news the poll comes.
        let _ = timeout_at((now + pause).min(deadline), announcements.next()).await;
    }
}

/// A job of a client that hears how far it is while it waits. Dropping this cancels the job unless it has ended, see
/// [`CancelOnDrop`]: a client that hangs up drops the answer that it is part of.
pub struct FollowedJob {
    follower: Follower,
    job: Job,
    news: JobListener,
    repeatable: bool,
    guard: Option<CancelOnDrop>,
}

impl FollowedJob {
    /// The job as it was submitted.
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// Whether its client can find the job again by repeating the request.
    pub const fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    /// The next thing that happens; see [`next_update`]. Once the job has ended, dropping this does nothing more.
    ///
    /// # Errors
    /// As [`next_update`].
    pub async fn next(&mut self) -> Result<JobUpdate, Refusal> {
        let update = next_update(&self.follower, &mut self.news, &self.job.id).await?;
        if matches!(&update, JobUpdate::Over(job) if job.state.is_terminal()) {
            self.let_go();
        }
        Ok(update)
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
