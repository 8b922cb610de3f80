//! [`JobStore`] in PostgreSQL: who reads, who writes, and which state machine step.

use super::session::Session;
use super::text::stored;
use super::{PostgresStore, claim, listing, rescue, retention, submit, transition, unheard};
use crate::progress::JobProgress;
use crate::state::{Lifecycle, Transition};
use crate::store::endings::{self, Payload};
use crate::store::sql::rows::{self, column, select_jobs};
use crate::{
    CancelOutcome, CancelledAll, Due, Ends, Failure, Fenced, Idempotency, Job, JobId, JobResult, JobState, JobStore,
    KeyId, Lease, ListFilter, NewJob, POSITION_LIMIT, Page, Queue, QueueDepth, QueueLoad, Removed, Renewed, Result,
    Spending, Submitted, Timestamp, WorkerId,
};
use async_trait::async_trait;
use std::time::Duration;

/// Jobs that one transaction ends: others wait for the rows that it has locked, and it has to be done within the patience for one, also where
/// each of some hundred statements takes 20 ms.
const BATCH: i64 = 50;

const POSITION: &str = "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM jobs AS ahead \
     WHERE ahead.engine_model = mine.engine_model \
     AND ahead.state = 'queued' AND ahead.ready_at IS NULL AND NOT ahead.awaits_sources \
     AND (ahead.due, ahead.seq) < (mine.due, mine.seq) LIMIT $1) AS waiting) + \
     CASE WHEN mine.awaits_sources THEN (SELECT COUNT(*) FROM (SELECT 1 FROM jobs AS ahead \
     WHERE ahead.state = 'queued' AND ahead.awaits_sources \
     AND (ahead.due, ahead.seq) < (mine.due, mine.seq) LIMIT $1) AS awaiting) ELSE 0 END AS position \
     FROM jobs AS mine WHERE mine.id = $2 AND CASE WHEN mine.state = 'queued' THEN TRUE END";

/// Those that wait are the open ones that do not run. Deleted jobs that still run are not among the open ones.
const DEPTH: &str = "SELECT \
     (COALESCE((SELECT SUM(jobs) FROM job_counts WHERE state = 'open'), 0) \
      + (SELECT COUNT(*) FROM journal WHERE entered = 'open') - (SELECT COUNT(*) FROM journal WHERE departed = 'open') \
      - COUNT(*) FILTER (WHERE NOT deleted))::BIGINT AS queued, COUNT(*) AS running FROM jobs WHERE state = 'running'";

/// The order of each queue is not that of time, so the first few of each are looked at: a key's burst waits in order.
const LOADS: &str = "SELECT queue_times.engine_model, waiting.jobs AS waiting, oldest.wait, \
     COALESCE(running.jobs, 0) AS running FROM queue_times \
     CROSS JOIN LATERAL (SELECT COUNT(*) AS jobs FROM (SELECT 1 FROM jobs WHERE jobs.engine_model = queue_times.engine_model \
         AND state = 'queued' AND ready_at IS NULL AND NOT awaits_sources LIMIT $1) AS first) AS waiting \
     CROSS JOIN LATERAL (SELECT queue_now() - MIN(created_at) AS wait FROM (SELECT created_at FROM jobs \
         WHERE jobs.engine_model = queue_times.engine_model AND state = 'queued' AND ready_at IS NULL \
         AND NOT awaits_sources ORDER BY due, seq LIMIT 1000) AS first) AS oldest \
     LEFT JOIN (SELECT engine_model, COUNT(*) AS jobs FROM jobs WHERE state = 'running' GROUP BY engine_model) AS running \
         ON running.engine_model = queue_times.engine_model \
     WHERE waiting.jobs > 0 OR running.jobs > 0 ORDER BY queue_times.engine_model";

const ENDS: &str = "SELECT state, SUM(jobs)::BIGINT AS jobs FROM (SELECT state, jobs FROM job_ends \
     UNION ALL SELECT ended, 1 FROM journal WHERE ended IS NOT NULL) AS all_ends GROUP BY state";

const SPENDING: &str = "SELECT COALESCE(SUM(jobs), 0)::BIGINT AS jobs, \
     COALESCE(SUM(cost_micros), 0)::BIGINT AS cost_micros FROM ( \
     SELECT user_name, jobs, cost_micros FROM spending WHERE key_id = $1 UNION ALL \
     SELECT user_name, 1, cost_micros FROM journal WHERE key_id = $1 AND ended = 'succeeded') AS spent \
     WHERE $2::TEXT IS NULL OR user_name = $2";

#[async_trait]
impl JobStore for PostgresStore {
    async fn submit(&self, job: NewJob) -> Result<Submitted> {
        submit::submit(&self.database, job).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>> {
        let row = self
            .database
            .read(|session| {
                let query = sqlx::query(select_jobs!("WHERE jobs.id = $1")).bind(id.as_str().to_owned());
                Box::pin(session.optional(query))
            })
            .await?;
        row.as_ref().map(rows::job).transpose()
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let rows = self
            .database
            .read(|session| {
                let query = sqlx::query(select_jobs!("WHERE jobs.id = ANY ($1)")).bind(ids.clone());
                Box::pin(session.all(query))
            })
            .await?;
        rows.iter().map(rows::job).collect()
    }

    async fn list(&self, key: &KeyId, filter: &ListFilter) -> Result<Page> {
        listing::list(&self.database, key, filter).await
    }

    async fn delete(&self, key: &KeyId, jobs: &[JobId]) -> Result<Vec<Removed>> {
        let (key, mut sorted) = (key.clone(), jobs.to_vec());
        // Everybody locks in one order, so that no two wait for each other.
        sorted.sort();
        let removed = self
            .database
            .write(move |session| {
                let (key, jobs) = (key.clone(), sorted.clone());
                Box::pin(async move {
                    let mut removed = Vec::new();
                    for id in &jobs {
                        removed.extend(delete(session, &key, id).await?);
                    }
                    Ok(removed)
                })
            })
            .await?;
        let place = |removed: &Removed| jobs.iter().position(|id| *id == removed.job);
        let mut removed = removed;
        removed.sort_by_key(place);
        Ok(removed)
    }

    async fn position(&self, id: &JobId) -> Result<Option<u64>> {
        let row = self
            .database
            .read(|session| {
                let query = sqlx::query(POSITION).bind(POSITION_LIMIT as i64).bind(id.as_str().to_owned());
                Box::pin(session.optional(query))
            })
            .await?;
        row.map(|row| Ok(column::<i64>(&row, "position")?.unsigned_abs().min(POSITION_LIMIT))).transpose()
    }

    async fn cancel(&self, key: &KeyId, id: &JobId) -> Result<CancelOutcome> {
        let (key, id) = (key.clone(), id.clone());
        self.database
            .write(move |session| {
                let (key, id) = (key.clone(), id.clone());
                Box::pin(async move { cancel(session, &key, &id).await })
            })
            .await
    }

    async fn cancel_all(&self, key: &KeyId) -> Result<CancelledAll> {
        let mut sum = CancelledAll::default();
        loop {
            let key = key.clone();
            let batch = self
                .database
                .write(move |session| {
                    let key = key.clone();
                    Box::pin(async move { cancel_some(session, &key).await })
                })
                .await?;
            if batch == CancelledAll::default() {
                return Ok(sum);
            }
            sum.cancelled += batch.cancelled;
            sum.requested += batch.requested;
        }
    }

    async fn repeated(&self, key: &KeyId, idempotency: &Idempotency) -> Result<Option<Job>> {
        self.database.read(|session| Box::pin(submit::repeated(session, key.clone(), idempotency.clone()))).await
    }

    async fn claim(&self, worker: &WorkerId, queues: &[Queue], lease: Duration) -> Result<Option<Job>> {
        claim::claim(self, worker, queues, lease).await
    }

    async fn release_unheard(&self, worker: &WorkerId) -> Result<bool> {
        unheard::release(self, worker).await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Renewed> {
        self.renew_with_progress(lease, duration, JobProgress::default()).await
    }

    async fn renew_with_progress(&self, lease: &Lease, duration: Duration, progress: JobProgress) -> Result<Renewed> {
        let lease = lease.clone();
        self.database
            .write_statement(move |session| {
                let lease = lease.clone();
                Box::pin(async move { transition::renew(session, &lease, duration, progress).await })
            })
            .await
    }

    async fn succeed(&self, lease: &Lease, result: JobResult) -> Result<Fenced> {
        self.end(lease, Payload::Result(Box::new(result)), |job, lease, _| job.succeed(lease)).await
    }

    async fn fail(&self, lease: &Lease, failure: Failure) -> Result<Fenced> {
        let kind = failure.kind;
        self.end(lease, Payload::Failure(failure), move |job, lease, _| job.fail(lease, kind)).await
    }

    async fn cancelled(&self, lease: &Lease) -> Result<Fenced> {
        self.end(lease, Payload::Nothing, |job, lease, _| job.confirm_cancel(lease)).await
    }

    async fn release(&self, lease: &Lease) -> Result<Fenced> {
        self.end(lease, Payload::Nothing, |job, lease, _| job.release(lease)).await
    }

    async fn crashed(&self, lease: &Lease, message: &str) -> Result<Fenced> {
        let failure = endings::quarantine(message);
        self.end(lease, Payload::Failure(failure), |job, lease, _| job.crashed(lease)).await
    }

    async fn retry(&self, lease: &Lease, failure: Failure, delay: Duration) -> Result<Fenced> {
        let kind = failure.kind;
        let step = move |job: Lifecycle, lease: &Lease, now: Timestamp| job.retry(lease, kind, now.plus(delay));
        self.end(lease, Payload::Failure(failure), step).await
    }

    async fn rescue(&self) -> Result<Vec<JobId>> {
        rescue::rescue(self).await
    }

    async fn time_out_starts(&self) -> Result<Vec<JobId>> {
        self.database.write(|session| Box::pin(transition::time_out_starts(session))).await
    }

    async fn queue_depth(&self) -> Result<QueueDepth> {
        let row = self.database.read(|session| Box::pin(session.one(sqlx::query(DEPTH)))).await?;
        let count = |name| column::<i64>(&row, name).map(|count| count.max(0).unsigned_abs());
        Ok(QueueDepth { queued: count("queued")?, running: count("running")? })
    }

    async fn loads(&self) -> Result<Vec<QueueLoad>> {
        // In a transaction, where the time of a test has to be told.
        let rows = self
            .database
            .write_statement(|session| Box::pin(session.all(sqlx::query(LOADS).bind(Self::LOAD_LIMIT))))
            .await?;
        rows.iter().map(rows::load).collect()
    }

    async fn ends(&self) -> Result<Ends> {
        let rows = self.database.read(|session| Box::pin(session.all(sqlx::query(ENDS)))).await?;
        let mut ends = Ends::default();
        for row in &rows {
            if let Some(count) = ends.count_of(rows::named(column(row, "state")?)?) {
                *count = column::<i64>(row, "jobs")?.unsigned_abs();
            }
        }
        Ok(ends)
    }

    async fn spending(&self, key: &KeyId, user: Option<&str>) -> Result<Spending> {
        let row = self
            .database
            .read(|session| {
                let query = sqlx::query(SPENDING)
                    .bind(key.as_str().to_owned())
                    .bind(user.map(|user| stored(user).into_owned()));
                Box::pin(session.one(query))
            })
            .await?;
        Ok(Spending { jobs: column::<i64>(&row, "jobs")?.unsigned_abs(), cost_micros: column(&row, "cost_micros")? })
    }

    async fn expire_jobs(&self, due: Due, limit: u32) -> Result<Vec<JobId>> {
        self.database.write(move |session| Box::pin(retention::expire_jobs(session, due, limit))).await
    }

    async fn due_jobs(&self, due: Due, limit: u32) -> Result<Vec<JobId>> {
        self.database.read(|session| Box::pin(retention::due_jobs(session, due, limit))).await
    }

    async fn unswept_jobs(&self, limit: u32) -> Result<Vec<JobId>> {
        self.database.read(|session| Box::pin(retention::unswept_jobs(session, limit))).await
    }

    async fn mark_jobs_swept(&self, jobs: &[JobId]) -> Result<()> {
        let jobs: Vec<String> = jobs.iter().map(|id| id.as_str().to_owned()).collect();
        self.database.write(move |session| Box::pin(retention::mark_jobs_swept(session, jobs.clone()))).await
    }

    async fn prune_jobs(&self, finished_before: Timestamp, limit: u32) -> Result<u64> {
        self.database.write(move |session| Box::pin(retention::prune_jobs(session, finished_before, limit))).await
    }
}

impl PostgresStore {
    /// Most jobs of a queue that [`JobStore::loads`] counts.
    pub(super) const LOAD_LIMIT: i64 = 10_000;

    /// A worker's last word on a claim.
    async fn end(
        &self,
        lease: &Lease,
        payload: Payload,
        step: impl Fn(Lifecycle, &Lease, Timestamp) -> Transition + Clone + Send + Sync + 'static,
    ) -> Result<Fenced> {
        let lease = lease.clone();
        self.database
            .write(move |session| {
                let (lease, payload, step) = (lease.clone(), payload.clone(), step.clone());
                Box::pin(async move {
                    transition::apply_fenced(session, &lease, &payload, |job, now| step(job, &lease, now)).await
                })
            })
            .await
    }
}

async fn cancel(session: &mut Session, key: &KeyId, id: &JobId) -> Result<CancelOutcome> {
    if find(session, key, id).await?.is_none() {
        return Ok(CancelOutcome::NotFound);
    }
    let after = transition::apply(session, id, &Payload::Nothing, |job, _| job.cancel()).await?;
    Ok(match after.map(|job| job.state()) {
        None => CancelOutcome::AlreadyFinished,
        Some(JobState::Running) => CancelOutcome::Requested,
        Some(_) => CancelOutcome::Cancelled,
    })
}

/// Cancels some of the jobs of `key` that nobody cancelled yet.
async fn cancel_some(session: &mut Session, key: &KeyId) -> Result<CancelledAll> {
    let open = sqlx::query(
        "SELECT id FROM jobs WHERE key_id = $1 AND state IN ('queued', 'running') \
         AND (state = 'queued' OR NOT cancel_requested) \
         ORDER BY seq LIMIT $2 FOR NO KEY UPDATE",
    );
    let mut batch = CancelledAll::default();
    for row in &session.all(open.bind(key.as_str()).bind(BATCH)).await? {
        let id = JobId::from(column::<String>(row, "id")?);
        match transition::apply(session, &id, &Payload::Nothing, |job, _| job.cancel()).await? {
            None => {}
            Some(job) if job.state() == JobState::Running => batch.requested += 1,
            Some(_) => batch.cancelled += 1,
        }
    }
    Ok(batch)
}

async fn delete(session: &mut Session, key: &KeyId, id: &JobId) -> Result<Option<Removed>> {
    let Some((seq, was)) = find(session, key, id).await? else { return Ok(None) };
    let after = transition::apply(session, id, &Payload::Nothing, |job, _| job.cancel()).await?;
    if after.is_some_and(|job| job.state() == JobState::Running) {
        // The worker still needs what it runs on; the end of the job scrubs it.
        session.execute(sqlx::query("UPDATE jobs SET deleted = TRUE WHERE seq = $1").bind(seq)).await?;
    } else {
        transition::scrub(session, &[seq]).await?;
    }
    Ok(Some(Removed { job: id.clone(), was }))
}

/// Row and state of a job of this key that is not deleted, locked.
async fn find(session: &mut Session, key: &KeyId, id: &JobId) -> Result<Option<(i64, JobState)>> {
    // A CASE, so that a plan which was made on a small table goes by the id and not through all jobs of the key.
    let query = sqlx::query(
        "SELECT seq, state FROM jobs WHERE id = $1 AND CASE WHEN NOT deleted THEN key_id = $2 END FOR NO KEY UPDATE",
    );
    let row = session.optional(query.bind(id.as_str()).bind(key.as_str())).await?;
    row.map(|row| Ok((column(&row, "seq")?, rows::named(column(&row, "state")?)?))).transpose()
}
