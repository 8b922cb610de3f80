//! Jobs: submit, read, claim, end.

use crate::progress::JobProgress;
use crate::{
    Failure, Idempotency, Job, JobId, JobResult, JobState, KeyId, Lease, NewJob, Queue, Result, Timestamp, WorkerId,
};
use async_trait::async_trait;
use std::time::Duration;

/// What came of a submit.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// A new job; it is on disk.
    Created(Job),
    /// The job of an earlier submit with the same id or idempotency key.
    Existing(Job),
}

impl Submitted {
    /// The job, new or old.
    pub fn into_job(self) -> Job {
        match self {
            Self::Created(job) | Self::Existing(job) => job,
        }
    }
}

/// Which jobs of a key to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Only this model id of the dialect.
    pub model: Option<String>,
    /// Only these states; empty: all.
    pub states: Vec<JobState>,
    /// Only jobs created at or after this time.
    pub created_after: Option<Timestamp>,
    /// Only jobs created at or before this time.
    pub created_before: Option<Timestamp>,
    /// From 1; 0 counts as 1.
    pub page: u32,
    /// 1..=100, others are clamped.
    pub page_size: u32,
}

impl ListFilter {
    /// Longest page that [`JobStore::list`] returns.
    pub const MAX_PAGE_SIZE: u32 = 100;

    /// Jobs to skip and jobs to return.
    pub(crate) fn window(&self) -> (u64, u64) {
        let size = u64::from(self.page_size.clamp(1, Self::MAX_PAGE_SIZE));
        (u64::from(self.page.max(1) - 1) * size, size)
    }
}

/// One page of a list, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The page's jobs.
    pub jobs: Vec<Job>,
    /// Jobs on all pages together.
    pub total: u64,
}

/// What came of a request to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It was waiting and has ended now.
    Cancelled,
    /// It runs; its worker has been asked to stop.
    Requested,
    /// It had ended before.
    AlreadyFinished,
    /// The key has no such job.
    NotFound,
}

/// What came of a request to cancel everything of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CancelledAll {
    /// Jobs that were waiting and have ended now.
    pub cancelled: u64,
    /// Running jobs whose workers were asked to stop.
    pub requested: u64,
}

/// What is too old. Both times are given by the caller, who knows whether its clock can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time now: what says itself how long it is kept is due when that is over.
    pub now: Timestamp,
    /// The general rule: what ended, or was uploaded, before this time is due.
    pub before: Timestamp,
}

/// A job that [`JobStore::delete`] removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Which.
    pub job: JobId,
    /// Where it stood before: a waiting one has ended by it, the worker of a running one is to be told.
    pub was: JobState,
}

/// What came of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The lease runs on.
    Held {
        /// Whether the job should be stopped.
        cancel_requested: bool,
    },
    /// The lease is somebody else's or the job has ended: stop and discard.
    Lost,
}

/// What came of a write under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// Written.
    Done,
    /// The lease was lost before, or the job's state does not allow it; nothing was written. Discard the work.
    Lost,
}

/// Jobs waiting and running, of all keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// In [`JobState::Queued`].
    pub queued: u64,
    /// In [`JobState::Running`].
    pub running: u64,
}

/// What there is to do in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueLoad {
    /// Which.
    pub queue: Queue,
    /// Jobs that a worker could take now if their key had none running.
    pub waiting: u64,
    /// In [`JobState::Running`].
    pub running: u64,
    /// How long the job of [`QueueLoad::waiting`] has waited that was accepted first.
    pub oldest_wait: Option<Duration>,
}

/// Jobs of all keys that ended, by their end, whether or not they are still kept. Each counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// In [`JobState::Succeeded`].
    pub succeeded: u64,
    /// In [`JobState::Failed`].
    pub failed: u64,
    /// In [`JobState::Cancelled`].
    pub cancelled: u64,
}

impl Ends {
    /// The count of an end; `None` for a state that is none.
    pub(crate) const fn count_of(&mut self, state: JobState) -> Option<&mut u64> {
        match state {
            JobState::Succeeded => Some(&mut self.succeeded),
            JobState::Failed => Some(&mut self.failed),
            JobState::Cancelled => Some(&mut self.cancelled),
            JobState::Queued | JobState::Running => None,
        }
    }
}

/// What succeeded jobs cost, whether or not they are still kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// Succeeded jobs.
    pub jobs: u64,
    /// Sum in millionths of a dollar.
    pub cost_micros: i64,
}

/// The queue's table of jobs.
///
/// Whatever ends a job writes the outbox row of its webhook in the same transaction. Terminal states never change.
/// Any method may answer [`crate::Error::Unavailable`].
#[async_trait]
pub trait JobStore: Send + Sync + 'static {
    /// Accepts a job. When this returns, the job survives a crash of process and machine.
    ///
    /// # Errors
    /// [`crate::Error::IdempotencyConflict`], [`crate::Error::UnknownKey`].
    async fn submit(&self, job: NewJob) -> Result<Submitted>;

    /// The job, whosever it is: callers compare [`Job::key`].
    async fn job(&self, id: &JobId) -> Result<Option<Job>>;

    /// Those of these jobs that there are, in any order.
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Job>>;

    /// The key's jobs that are not deleted, newest first.
    async fn list(&self, key: &KeyId, filter: &ListFilter) -> Result<Page>;

    /// Removes jobs of `key`; returns those there were, each once. Ended ones lose input and result at once and their
    /// blobs at the next sweep; waiting ones are cancelled first; running ones vanish from lists and are asked to stop.
    /// Ids of other keys' jobs are passed over like ids of none.
    async fn delete(&self, key: &KeyId, jobs: &[JobId]) -> Result<Vec<Removed>>;

    /// Jobs ahead of a waiting one in its queue, counted up to [`POSITION_LIMIT`]; `None` when it does not wait. Limits per key
    /// are left out of account. Of one that awaits its pictures it is an estimate, since its place is only fixed when
    /// they have come; nor does such a one count as ahead of others.
    async fn position(&self, id: &JobId) -> Result<Option<u64>>;

    /// Ends a waiting job of `key`, or asks the worker of a running one to stop.
    async fn cancel(&self, key: &KeyId, id: &JobId) -> Result<CancelOutcome>;

    /// Cancels all jobs of `key`, as [`JobStore::cancel`] does one.
    async fn cancel_all(&self, key: &KeyId) -> Result<CancelledAll>;

    /// The job that an earlier submit of `key` made with this idempotency key.
    ///
    /// # Errors
    /// [`crate::Error::IdempotencyConflict`].
    async fn repeated(&self, key: &KeyId, idempotency: &Idempotency) -> Result<Option<Job>>;

    /// Takes the job that is due next, of a key below its limit of running jobs, from the first of `queues` that has one.
    /// One that awaits its pictures is not due, see [`crate::FetchStore`].
    async fn claim(&self, worker: &WorkerId, queues: &[Queue], lease: Duration) -> Result<Option<Job>>;

    /// Hands back the job of a claim of which `worker`, which has nothing in hand and claims no more, never heard, where that can be.
    /// Whether all is known: `false` means that something may still show, and to ask again.
    async fn release_unheard(&self, _worker: &WorkerId) -> Result<bool> {
        Ok(true)
    }

    /// Prolongs a lease to `duration` from now.
    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Renewed>;

    /// [`JobStore::renew`], with how far the job is, for whoever watches it on another host. A store that no other host
    /// uses has no use for that.
    async fn renew_with_progress(&self, lease: &Lease, duration: Duration, _progress: JobProgress) -> Result<Renewed> {
        self.renew(lease, duration).await
    }

    /// Ends a job with a result.
    async fn succeed(&self, lease: &Lease, result: JobResult) -> Result<Fenced>;

    /// Ends a job with a failure.
    async fn fail(&self, lease: &Lease, failure: Failure) -> Result<Fenced>;

    /// Confirms that the work was stopped on request; ends the job. [`Fenced::Lost`] also when nobody had asked.
    async fn cancelled(&self, lease: &Lease) -> Result<Fenced>;

    /// Hands a job back in good order: it waits at its old place and nothing is counted. A job that should be
    /// cancelled ends instead.
    async fn release(&self, lease: &Lease) -> Result<Fenced>;

    /// Reports that what ran the job died. The job waits again, or ends quarantined after too many deaths.
    async fn crashed(&self, lease: &Lease, message: &str) -> Result<Fenced>;

    /// Puts a job back for `delay` because of a failure that may pass. After [`crate::MAX_ATTEMPTS`] it fails
    /// with `failure`.
    async fn retry(&self, lease: &Lease, failure: Failure, delay: Duration) -> Result<Fenced>;

    /// Treats running jobs whose lease ran out as [`JobStore::crashed`]; returns them.
    async fn rescue(&self) -> Result<Vec<JobId>>;

    /// Fails waiting jobs that no worker took in time; returns them.
    async fn time_out_starts(&self) -> Result<Vec<JobId>>;

    /// Jobs waiting and running.
    async fn queue_depth(&self) -> Result<QueueDepth>;

    /// What there is to do in each queue in which anything is. Where many hosts share a store, no more than 10,000 waiting
    /// jobs of each are counted.
    async fn loads(&self) -> Result<Vec<QueueLoad>>;

    /// How jobs ended since the database was made.
    async fn ends(&self) -> Result<Ends>;

    /// What succeeded jobs of a key (of one of its users) cost.
    async fn spending(&self, key: &KeyId, user: Option<&str>) -> Result<Spending>;

    /// Deletes at most `limit` ended jobs that are due, as their owners could; returns them. One whose own
    /// [`Job::kept_for`] is over stays while a webhook of it is open.
    async fn expire_jobs(&self, due: Due, limit: u32) -> Result<Vec<JobId>>;

    /// What [`JobStore::expire_jobs`] would delete, without writing anything; it may name one twice.
    async fn due_jobs(&self, due: Due, limit: u32) -> Result<Vec<JobId>>;

    /// At most `limit` deleted and ended jobs whose blobs have not been removed yet.
    async fn unswept_jobs(&self, limit: u32) -> Result<Vec<JobId>>;

    /// Notes that the blobs of these jobs are gone; they count for nothing in [`crate::UsageStore`] from then on.
    async fn mark_jobs_swept(&self, jobs: &[JobId]) -> Result<()>;

    /// Forgets at most `limit` deleted, swept jobs that ended before `finished_before`; returns how many. Their
    /// deliveries go too; those still open keep their job.
    async fn prune_jobs(&self, finished_before: Timestamp, limit: u32) -> Result<u64>;
}

/// Longest queue that [`JobStore::position`] counts.
pub const POSITION_LIMIT: u64 = 1000;
