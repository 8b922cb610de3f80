//! [`FetchStore`] in SQLite.

use super::rows::{self, column, priority_numbered, select_jobs};
use super::transition;
use super::{SqliteStore, due, turns, unavailable, unreadable};
use crate::state::{Lifecycle, TransitionRefusal};
use crate::store::endings::{MOST_UNREADABLE, Payload};
use crate::{Error, Failure, Fenced, FetchLease, FetchStore, Fetched, Job, JobId, JobSpec, KeyId, Result, Timestamp};
use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use std::time::Duration;

/// Each key's next job to fetch, found by skipping from key to key along an index, so that neither those who wait nor
/// those of keys that are passed over cost anything. A list of keys follows, then [`FIRST`].
const NEXT_OF_EACH_KEY: &str = "WITH RECURSIVE waiting (key_id) AS ( \
     SELECT MIN(key_id) FROM jobs WHERE state = 'queued' AND awaits_sources AND ready_at IS NULL \
     AND fetch_until IS NULL \
     UNION ALL \
     SELECT (SELECT MIN(jobs.key_id) FROM jobs WHERE jobs.state = 'queued' AND jobs.awaits_sources \
             AND jobs.ready_at IS NULL AND jobs.fetch_until IS NULL AND jobs.key_id > waiting.key_id) \
     FROM waiting WHERE waiting.key_id IS NOT NULL), \
     open (seq) AS ( \
     SELECT (SELECT jobs.seq FROM jobs WHERE jobs.state = 'queued' AND jobs.awaits_sources \
             AND jobs.ready_at IS NULL AND jobs.fetch_until IS NULL AND jobs.key_id = waiting.key_id \
             ORDER BY jobs.due, jobs.seq LIMIT 1) \
     FROM waiting WHERE waiting.key_id IS NOT NULL AND waiting.key_id NOT IN (";

const FIRST: &str = ")) SELECT jobs.id FROM open JOIN jobs ON jobs.seq = open.seq ORDER BY jobs.due, jobs.seq LIMIT 1";

#[async_trait]
impl FetchStore for SqliteStore {
    async fn claim_fetch(&self, passed_over: &[KeyId], lease: Duration) -> Result<Option<(Job, FetchLease)>> {
        let passed_over = passed_over.to_vec();
        self.writer
            .write(move |connection, now| {
                Box::pin(async move { claim_fetch(connection, now, &passed_over, lease).await })
            })
            .await
    }

    async fn renew_fetch(&self, lease: &FetchLease, duration: Duration) -> Result<Fenced> {
        let step = move |job: Lifecycle, lease: &FetchLease, now: Timestamp| job.renew_fetch(lease, now.plus(duration));
        self.write_fetch(lease, Payload::Nothing, step).await
    }

    async fn sources_ready(&self, lease: &FetchLease, fetched: Fetched) -> Result<Fenced> {
        let lease = lease.clone();
        self.writer
            .write(move |connection, now| {
                Box::pin(async move { sources_ready(connection, now, &lease, fetched).await })
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

impl SqliteStore {
    /// A fetcher's word on a job.
    async fn write_fetch(
        &self,
        lease: &FetchLease,
        payload: Payload,
        step: impl FnOnce(Lifecycle, &FetchLease, Timestamp) -> std::result::Result<Lifecycle, TransitionRefusal>
        + Send
        + 'static,
    ) -> Result<Fenced> {
        let lease = lease.clone();
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    let step = |job| step(job, &lease, now);
                    let after = transition::apply(connection, now, &lease.job, payload, step).await?;
                    Ok(if after.is_some() { Fenced::Done } else { Fenced::Lost })
                })
            })
            .await
    }
}

async fn claim_fetch(
    connection: &mut SqliteConnection,
    now: Timestamp,
    passed_over: &[KeyId],
    lease: Duration,
) -> Result<Option<(Job, FetchLease)>> {
    transition::time_out_starts(connection, now).await?;
    due::wake_delayed(connection, now).await?;
    due::free_fetches(connection, now).await?;
    for _ in 0..MOST_UNREADABLE {
        let mut query = next_query(NEXT_OF_EACH_KEY, passed_over);
        let row = query.build().fetch_optional(&mut *connection).await.map_err(unavailable)?;
        let Some(row) = row else { return Ok(None) };
        let id = JobId::from(column::<String>(&row, "id")?);
        let step = |job: Lifecycle| job.claim_fetch(now, now.plus(lease));
        let Some(after) = transition::apply(connection, now, &id, Payload::Nothing, step).await? else {
            return Ok(None);
        };
        let row = sqlx::query(select_jobs!("WHERE jobs.id = ?1"))
            .bind(id.as_str())
            .fetch_one(&mut *connection)
            .await
            .map_err(unavailable)?;
        let held = FetchLease { job: id, number: after.fetches };
        let fail = |job: Lifecycle, kind| job.sources_failed(&held, kind);
        if let Some(job) = unreadable::job_or_end(connection, now, &row, fail).await? {
            return Ok(Some((job, held)));
        }
    }
    Ok(None)
}

fn next_query(start: &str, passed_over: &[KeyId]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(start);
    let mut keys = query.separated(", ");
    for key in passed_over {
        keys.push_bind(key.as_str().to_owned());
    }
    query.push(FIRST);
    query
}

async fn sources_ready(
    connection: &mut SqliteConnection,
    now: Timestamp,
    lease: &FetchLease,
    fetched: Fetched,
) -> Result<Fenced> {
    let row = sqlx::query(
        "SELECT jobs.seq, jobs.key_id, jobs.priority, job_inputs.spec FROM jobs \
         JOIN job_inputs ON job_inputs.seq = jobs.seq WHERE jobs.id = ?1",
    )
    .bind(lease.job.as_str())
    .fetch_optional(&mut *connection)
    .await
    .map_err(unavailable)?;
    let Some(row) = row else { return Ok(Fenced::Lost) };
    let (seq, key) = (column::<i64>(&row, "seq")?, KeyId::from(column::<String>(&row, "key_id")?));
    let priority = priority_numbered(column(&row, "priority")?);
    let spec = rows::from_json::<JobSpec>(&row, "spec")?
        .ok_or_else(|| Error::unavailable("database", format!("{} has no spec", lease.job)))?;
    // Asked for before the job is one of those that wait for a worker: it would be its own predecessor.
    let place = turns::place(connection, &spec.request.model, &key, priority).await?;
    let step = |job: Lifecycle| job.sources_ready(lease);
    if transition::apply(connection, now, &lease.job, Payload::Nothing, step).await?.is_none() {
        return Ok(Fenced::Lost);
    }
    sqlx::query("UPDATE job_inputs SET spec = ?1 WHERE seq = ?2")
        .bind(rows::to_json(&JobSpec { sources: fetched.sources, ..spec })?)
        .bind(seq)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    sqlx::query(
        "UPDATE jobs SET due = ?1, input_bytes = input_bytes + ?2, cost_micros = COALESCE(?3, cost_micros) \
         WHERE seq = ?4",
    )
    .bind(place.tag(priority))
    .bind(i64::try_from(fetched.bytes).unwrap_or(i64::MAX))
    .bind(fetched.cost_micros)
    .bind(seq)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(Fenced::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;
    use crate::store::sqlite::rows::column;
    use std::sync::Arc;

    /// Tens of thousands may wait for a host that does not answer; looking for the next one must not read them.
    #[tokio::test]
    async fn the_next_job_to_fetch_comes_from_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
        let explained = format!("EXPLAIN QUERY PLAN {NEXT_OF_EACH_KEY}");
        let mut query = next_query(&explained, &[KeyId::from("a"), KeyId::from("b")]);
        let steps = query.build().fetch_all(&store.readers).await.unwrap();
        let steps: Vec<String> = steps.iter().map(|step| column(step, "detail").unwrap()).collect();
        let reads: Vec<&String> = steps.iter().filter(|step| step.contains(" jobs ")).collect();
        let (by_index, by_row): (Vec<&String>, Vec<&String>) =
            reads.into_iter().partition(|step| step.contains("jobs_to_fetch"));
        assert_eq!(by_index.len(), 3, "{steps:#?}");
        assert!(by_row.iter().all(|step| step.contains("INTEGER PRIMARY KEY")), "{steps:#?}");
    }
}
