//! [`JobStore`] in SQLite: who reads, who writes, and which state machine step.

use super::rows::{self, column, select_jobs};
use super::transition;
use super::{SqliteStore, claim, listing, retention, submit, unavailable};
use crate::state::{Lifecycle, Transition};
use crate::store::endings::{self, Payload};
use crate::{
    CancelOutcome, CancelledAll, Due, Ends, Failure, Fenced, Idempotency, Job, JobId, JobResult, JobState, JobStore,
    KeyId, Lease, ListFilter, NewJob, POSITION_LIMIT, Page, Queue, QueueDepth, QueueLoad, Removed, Renewed, Result,
    Spending, Submitted, Timestamp, WorkerId,
};
use async_trait::async_trait;
use sqlx::SqliteConnection;
use std::time::Duration;

const LOADS: &str = "SELECT engine_model, SUM(is_due) AS waiting, SUM(state = 'running') AS running, \
     ?1 - MIN(CASE WHEN is_due THEN created_at END) AS wait FROM (SELECT *, state = 'queued' AND ready_at IS NULL \
     AND NOT awaits_sources AS is_due FROM jobs WHERE state IN ('queued', 'running')) AS open GROUP BY engine_model \
     HAVING SUM(is_due) > 0 OR SUM(state = 'running') > 0 ORDER BY engine_model";

#[async_trait]
impl JobStore for SqliteStore {
    async fn submit(&self, job: NewJob) -> Result<Submitted> {
        self.writer
            .write(move |connection, now| Box::pin(async move { submit::submit(connection, now, &job).await }))
            .await
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>> {
        let query = sqlx::query(select_jobs!("WHERE jobs.id = ?1")).bind(id.as_str());
        let row = query.fetch_optional(&self.readers).await.map_err(unavailable)?;
        row.as_ref().map(rows::job).transpose()
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        let ids: Vec<&str> = ids.iter().map(JobId::as_str).collect();
        let query = sqlx::query(select_jobs!("WHERE jobs.id IN (SELECT value FROM json_each(?1))"));
        let rows = query.bind(rows::to_json(&ids)?).fetch_all(&self.readers).await.map_err(unavailable)?;
        rows.iter().map(rows::job).collect()
    }

    async fn list(&self, key: &KeyId, filter: &ListFilter) -> Result<Page> {
        listing::list(&self.readers, key, filter).await
    }

    async fn delete(&self, key: &KeyId, jobs: &[JobId]) -> Result<Vec<Removed>> {
        let (key, jobs) = (key.clone(), jobs.to_vec());
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    let mut removed = Vec::new();
                    for id in &jobs {
                        removed.extend(delete(connection, now, &key, id).await?);
                    }
                    Ok(removed)
                })
            })
            .await
    }

    async fn position(&self, id: &JobId) -> Result<Option<u64>> {
        let query = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM jobs AS ahead \
             WHERE ahead.engine_model = mine.engine_model \
             AND ahead.state = 'queued' AND ahead.ready_at IS NULL AND NOT ahead.awaits_sources \
             AND (ahead.due, ahead.seq) < (mine.due, mine.seq) LIMIT ?1)) + \
             CASE WHEN mine.awaits_sources THEN (SELECT COUNT(*) FROM (SELECT 1 FROM jobs AS ahead \
             WHERE ahead.state = 'queued' AND ahead.awaits_sources \
             AND (ahead.due, ahead.seq) < (mine.due, mine.seq) LIMIT ?1)) ELSE 0 END AS position \
             FROM jobs AS mine WHERE mine.id = ?2 AND mine.state = 'queued'",
        );
        let row = query
            .bind(POSITION_LIMIT as i64)
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        row.map(|row| Ok(column::<i64>(&row, "position")?.unsigned_abs().min(POSITION_LIMIT))).transpose()
    }

    async fn cancel(&self, key: &KeyId, id: &JobId) -> Result<CancelOutcome> {
        let (key, id) = (key.clone(), id.clone());
        self.writer
            .write(move |connection, now| Box::pin(async move { cancel(connection, now, &key, &id).await }))
            .await
    }

    async fn cancel_all(&self, key: &KeyId) -> Result<CancelledAll> {
        let mut sum = CancelledAll::default();
        loop {
            let key = key.clone();
            let batch = self.writer.write(move |connection, now| Box::pin(cancel_some(connection, now, key))).await?;
            if batch == CancelledAll::default() {
                return Ok(sum);
            }
            sum.cancelled += batch.cancelled;
            sum.requested += batch.requested;
        }
    }

    async fn repeated(&self, key: &KeyId, idempotency: &Idempotency) -> Result<Option<Job>> {
        let mut connection = self.readers.acquire().await.map_err(unavailable)?;
        submit::repeated(&mut connection, key, idempotency).await
    }

    async fn claim(&self, worker: &WorkerId, queues: &[Queue], lease: Duration) -> Result<Option<Job>> {
        let (worker, queues) = (worker.clone(), queues.to_vec());
        self.writer
            .write(move |connection, now| {
                Box::pin(async move { claim::claim(connection, now, &worker, &queues, lease).await })
            })
            .await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Renewed> {
        let lease = lease.clone();
        self.writer
            .write(move |connection, now| {
                Box::pin(async move { transition::renew(connection, now, &lease, duration).await })
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
        self.writer.write(|connection, now| Box::pin(transition::rescue(connection, now))).await
    }

    async fn time_out_starts(&self) -> Result<Vec<JobId>> {
        self.writer.write(|connection, now| Box::pin(transition::time_out_starts(connection, now))).await
    }

    async fn queue_depth(&self) -> Result<QueueDepth> {
        let query = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM jobs WHERE state = 'queued') AS queued, \
             (SELECT COUNT(*) FROM jobs WHERE state = 'running') AS running",
        );
        let row = query.fetch_one(&self.readers).await.map_err(unavailable)?;
        let count = |name| column::<i64>(&row, name).map(i64::unsigned_abs);
        Ok(QueueDepth { queued: count("queued")?, running: count("running")? })
    }

    async fn loads(&self) -> Result<Vec<QueueLoad>> {
        self.writer
            .write(|connection, now| {
                Box::pin(async move {
                    let query = sqlx::query(LOADS).bind(now.0);
                    let rows = query.fetch_all(connection).await.map_err(unavailable)?;
                    rows.iter().map(rows::load).collect()
                })
            })
            .await
    }

    async fn ends(&self) -> Result<Ends> {
        let rows =
            sqlx::query("SELECT state, jobs FROM job_ends").fetch_all(&self.readers).await.map_err(unavailable)?;
        let mut ends = Ends::default();
        for row in &rows {
            if let Some(count) = ends.count_of(rows::named(column(row, "state")?)?) {
                *count = column::<i64>(row, "jobs")?.unsigned_abs();
            }
        }
        Ok(ends)
    }

    async fn spending(&self, key: &KeyId, user: Option<&str>) -> Result<Spending> {
        let query = sqlx::query(
            "SELECT CAST(COALESCE(SUM(jobs), 0) AS BIGINT) AS jobs, \
             CAST(COALESCE(SUM(cost_micros), 0) AS BIGINT) AS cost_micros \
             FROM spending WHERE key_id = ?1 AND (?2 IS NULL OR user_name = ?2)",
        );
        let row = query.bind(key.as_str()).bind(user).fetch_one(&self.readers).await.map_err(unavailable)?;
        Ok(Spending { jobs: column::<i64>(&row, "jobs")?.unsigned_abs(), cost_micros: column(&row, "cost_micros")? })
    }

    async fn expire_jobs(&self, due: Due, limit: u32) -> Result<Vec<JobId>> {
        self.writer.write(move |connection, _| Box::pin(retention::expire_jobs(connection, due, limit))).await
    }

    async fn due_jobs(&self, due: Due, limit: u32) -> Result<Vec<JobId>> {
        retention::due_jobs(&self.readers, due, limit).await
    }

    async fn unswept_jobs(&self, limit: u32) -> Result<Vec<JobId>> {
        retention::unswept_jobs(&self.readers, limit).await
    }

    async fn mark_jobs_swept(&self, jobs: &[JobId]) -> Result<()> {
        let jobs = jobs.to_vec();
        self.writer
            .write(move |connection, _| Box::pin(async move { retention::mark_jobs_swept(connection, &jobs).await }))
            .await
    }

    async fn prune_jobs(&self, finished_before: Timestamp, limit: u32) -> Result<u64> {
        self.writer
            .write(move |connection, _| Box::pin(retention::prune_jobs(connection, finished_before, limit)))
            .await
    }
}

impl SqliteStore {
    /// A worker's last word on a claim.
    async fn end(
        &self,
        lease: &Lease,
        payload: Payload,
        step: impl FnOnce(Lifecycle, &Lease, Timestamp) -> Transition + Send + 'static,
    ) -> Result<Fenced> {
        let lease = lease.clone();
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    transition::apply_fenced(connection, now, &lease, payload, |job| step(job, &lease, now)).await
                })
            })
            .await
    }
}

async fn cancel(connection: &mut SqliteConnection, now: Timestamp, key: &KeyId, id: &JobId) -> Result<CancelOutcome> {
    if find(connection, key, id).await?.is_none() {
        return Ok(CancelOutcome::NotFound);
    }
    let after = transition::apply(connection, now, id, Payload::Nothing, Lifecycle::cancel).await?;
    Ok(match after.map(|job| job.state()) {
        None => CancelOutcome::AlreadyFinished,
        Some(JobState::Running) => CancelOutcome::Requested,
        Some(_) => CancelOutcome::Cancelled,
    })
}

/// Jobs that [`cancel_some`] ends in one transaction.
const CANCEL_BATCH: i64 = 200;

/// Cancels some of the jobs of `key` that nobody cancelled yet.
async fn cancel_some(connection: &mut SqliteConnection, now: Timestamp, key: KeyId) -> Result<CancelledAll> {
    let open = sqlx::query(
        "SELECT id FROM jobs WHERE key_id = ?1 AND (state = 'queued' OR (state = 'running' AND NOT cancel_requested)) \
         ORDER BY seq LIMIT ?2",
    );
    let rows = open.bind(key.as_str()).bind(CANCEL_BATCH).fetch_all(&mut *connection).await.map_err(unavailable)?;
    let mut batch = CancelledAll::default();
    for row in &rows {
        let id = JobId::from(column::<String>(row, "id")?);
        match transition::apply(connection, now, &id, Payload::Nothing, Lifecycle::cancel).await? {
            None => {}
            Some(job) if job.state() == JobState::Running => batch.requested += 1,
            Some(_) => batch.cancelled += 1,
        }
    }
    Ok(batch)
}

async fn delete(connection: &mut SqliteConnection, now: Timestamp, key: &KeyId, id: &JobId) -> Result<Option<Removed>> {
    let Some((seq, was)) = find(connection, key, id).await? else { return Ok(None) };
    let after = transition::apply(connection, now, id, Payload::Nothing, Lifecycle::cancel).await?;
    if after.is_some_and(|job| job.state() == JobState::Running) {
        // The worker still needs what it runs on; the end of the job scrubs it.
        sqlx::query("UPDATE jobs SET deleted = TRUE WHERE seq = ?1")
            .bind(seq)
            .execute(connection)
            .await
            .map_err(unavailable)?;
    } else {
        transition::scrub(connection, seq).await?;
    }
    Ok(Some(Removed { job: id.clone(), was }))
}

/// Row and state of a job of this key that is not deleted.
async fn find(connection: &mut SqliteConnection, key: &KeyId, id: &JobId) -> Result<Option<(i64, JobState)>> {
    let row = sqlx::query("SELECT seq, state FROM jobs WHERE id = ?1 AND key_id = ?2 AND NOT deleted")
        .bind(id.as_str())
        .bind(key.as_str())
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    row.map(|row| Ok((column(&row, "seq")?, rows::named(column(&row, "state")?)?))).transpose()
}
