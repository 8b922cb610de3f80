//! [`FetchStore`] in PostgreSQL.

use super::session::Session;
use super::text::stored;
use super::{PostgresStore, transition, turns, unreadable, upkeep};
use crate::spec_protocol::SPEC_PROTOCOL;
use crate::state::{Lifecycle, Transition};
use crate::store::endings::{MOST_UNREADABLE, Payload};
use crate::store::sql::rows::{self, column, priority_numbered, select_jobs};
use crate::{Error, Failure, Fenced, FetchLease, FetchStore, Fetched, Job, JobId, JobSpec, KeyId, Result, Timestamp};
use async_trait::async_trait;
use std::time::Duration;

/// The first jobs to fetch of each key that is not passed over, found by skipping from key to key along an index; of
/// these the first that nobody else takes.
const NEXT: &str = "WITH RECURSIVE waiting (key_id) AS ( \
     (SELECT key_id FROM jobs WHERE state = 'queued' AND awaits_sources AND ready_at IS NULL AND fetch_until IS NULL \
      ORDER BY key_id LIMIT 1) \
     UNION ALL \
     SELECT (SELECT jobs.key_id FROM jobs WHERE jobs.state = 'queued' AND jobs.awaits_sources \
             AND jobs.ready_at IS NULL AND jobs.fetch_until IS NULL AND jobs.key_id > waiting.key_id \
             ORDER BY jobs.key_id LIMIT 1) \
     FROM waiting WHERE waiting.key_id IS NOT NULL), \
     candidates AS MATERIALIZED (SELECT first.seq FROM waiting CROSS JOIN LATERAL ( \
             SELECT jobs.seq, jobs.due FROM jobs WHERE jobs.state = 'queued' AND jobs.awaits_sources \
             AND jobs.ready_at IS NULL AND jobs.fetch_until IS NULL AND jobs.key_id = waiting.key_id AND jobs.protocol <= $2 \
             ORDER BY jobs.due, jobs.seq LIMIT 16) AS first \
         WHERE waiting.key_id <> ALL ($1) ORDER BY first.due, first.seq LIMIT 64) \
     SELECT jobs.id FROM candidates JOIN jobs USING (seq) WHERE jobs.state = 'queued' AND jobs.awaits_sources \
     AND jobs.ready_at IS NULL AND jobs.fetch_until IS NULL ORDER BY jobs.due, jobs.seq \
     LIMIT 1 FOR NO KEY UPDATE OF jobs SKIP LOCKED";

const TO_FETCH: &str = "SELECT jobs.seq, jobs.key_id, jobs.priority, job_inputs.spec FROM jobs \
     JOIN job_inputs ON job_inputs.seq = jobs.seq WHERE jobs.id = $1 FOR NO KEY UPDATE OF jobs";

#[async_trait]
impl FetchStore for PostgresStore {
    async fn claim_fetch(&self, passed_over: &[KeyId], lease: Duration) -> Result<Option<(Job, FetchLease)>> {
        let passed_over: Vec<String> = passed_over.iter().map(|key| key.as_str().to_owned()).collect();
        let keeps_house = self.keeps_house_at_each_call;
        self.database
            .write(move |session| {
                let passed_over = passed_over.clone();
                Box::pin(async move {
                    if keeps_house {
                        upkeep::keep_house(session).await?;
                    }
                    claim_fetch(session, passed_over, lease).await
                })
            })
            .await
    }

    async fn renew_fetch(&self, lease: &FetchLease, duration: Duration) -> Result<Fenced> {
        let step = move |job: Lifecycle, lease: &FetchLease, now: Timestamp| job.renew_fetch(lease, now.plus(duration));
        self.write_fetch(lease, Payload::Nothing, step).await
    }

    async fn sources_ready(&self, lease: &FetchLease, fetched: Fetched) -> Result<Fenced> {
        let lease = lease.clone();
        self.database
            .write(move |session| {
                let (lease, fetched) = (lease.clone(), fetched.clone());
                Box::pin(async move { sources_ready(session, &lease, fetched).await })
            })
            .await
    }

    async fn sources_failed(&self, lease: &FetchLease, failure: Failure) -> Result<Fenced> {
        let kind = failure.kind;
        self.write_fetch(lease, Payload::Failure(failure), move |job, lease, _| job.sources_failed(lease, kind)).await
    }

    async fn release_fetch(&self, lease: &FetchLease) -> Result<Fenced> {
        self.write_fetch(lease, Payload::Nothing, |job, lease, _| job.release_fetch(lease)).await
    }

    async fn retry_fetch(&self, lease: &FetchLease, failure: Failure, delay: Duration) -> Result<Fenced> {
        let kind = failure.kind;
        let step =
            move |job: Lifecycle, lease: &FetchLease, now: Timestamp| job.retry_fetch(lease, kind, now.plus(delay));
        self.write_fetch(lease, Payload::Failure(failure), step).await
    }
}

impl PostgresStore {
    /// A fetcher's word on a job.
    async fn write_fetch(
        &self,
        lease: &FetchLease,
        payload: Payload,
        step: impl Fn(Lifecycle, &FetchLease, Timestamp) -> Transition + Clone + Send + Sync + 'static,
    ) -> Result<Fenced> {
        let lease = lease.clone();
        self.database
            .write(move |session| {
                let (lease, payload, step) = (lease.clone(), payload.clone(), step.clone());
                Box::pin(async move {
                    let step = |job, now| step(job, &lease, now);
                    let after = transition::apply(session, &lease.job, &payload, step).await?;
                    Ok(if after.is_some() { Fenced::Done } else { Fenced::Lost })
                })
            })
            .await
    }
}

async fn claim_fetch(
    session: &mut Session,
    passed_over: Vec<String>,
    lease: Duration,
) -> Result<Option<(Job, FetchLease)>> {
    for _ in 0..MOST_UNREADABLE {
        let next = sqlx::query(NEXT).bind(&passed_over).bind(SPEC_PROTOCOL);
        let Some(row) = session.optional(next).await? else { return Ok(None) };
        let id = JobId::from(column::<String>(&row, "id")?);
        let step = |job: Lifecycle, now: Timestamp| job.claim_fetch(now, now.plus(lease));
        let Some(after) = transition::apply(session, &id, &Payload::Nothing, step).await? else { return Ok(None) };
        let row = session.one(sqlx::query(select_jobs!("WHERE jobs.id = $1")).bind(id.as_str())).await?;
        let held = FetchLease { job: id, number: after.fetches };
        let fail = |job: Lifecycle, kind| job.sources_failed(&held, kind);
        if let Some(job) = unreadable::job_or_end(session, &row, fail).await? {
            return Ok(Some((job, held)));
        }
    }
    Ok(None)
}

async fn sources_ready(session: &mut Session, lease: &FetchLease, fetched: Fetched) -> Result<Fenced> {
    let row = session.optional(sqlx::query(TO_FETCH).bind(lease.job.as_str())).await?;
    let Some(row) = row else { return Ok(Fenced::Lost) };
    let (seq, key) = (column::<i64>(&row, "seq")?, KeyId::from(column::<String>(&row, "key_id")?));
    let priority = priority_numbered(column(&row, "priority")?);
    let spec = rows::from_json::<JobSpec>(&row, "spec")?
        .ok_or_else(|| Error::unavailable("database", format!("{} has no spec", lease.job)))?;
    // Asked for before the job is one of those that wait for a worker: it would be its own predecessor.
    let place = turns::place(session, &spec.request.model, &key, priority).await?;
    let step = |job: Lifecycle, _| job.sources_ready(lease);
    if transition::apply(session, &lease.job, &Payload::Nothing, step).await?.is_none() {
        return Ok(Fenced::Lost);
    }
    let spec = rows::to_json(&JobSpec { sources: fetched.sources, ..spec })?;
    session
        .execute(
            sqlx::query("UPDATE job_inputs SET spec = $1 WHERE seq = $2").bind(stored(&spec).into_owned()).bind(seq),
        )
        .await?;
    let update = sqlx::query(
        "UPDATE jobs SET due = $1, input_bytes = input_bytes + $2, cost_micros = COALESCE($3, cost_micros) \
         WHERE seq = $4",
    )
    .bind(place.tag(priority))
    .bind(i64::try_from(fetched.bytes).unwrap_or(i64::MAX))
    .bind(fetched.cost_micros)
    .bind(seq);
    session.execute(update).await?;
    Ok(Fenced::Done)
}
