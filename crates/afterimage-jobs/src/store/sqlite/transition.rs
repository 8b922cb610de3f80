//! Changes of state, all in one way: read, ask the state machine, write on condition that attempt and state are still
//! those that were read. What ends a job also writes its webhook and its cost here.

use super::rows::{self, column, name_of};
use super::{day_sums, due, unavailable};
use crate::state::{Lifecycle, Phase, TransitionRefusal};
use crate::store::endings::{self, Payload};
use crate::{
    Day, Fenced, JobId, JobResult, JobSpec, JobState, KeyId, Lease, MAX_UNCLEAN_ENDS, Renewed, Result, Timestamp,
    UseCounts,
};
use afterimage_core::Field;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

/// Applies `step` to a job. `None` when there is no such job, or when the state machine or the condition refused.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    now: Timestamp,
    id: &JobId,
    payload: Payload,
    step: impl FnOnce(Lifecycle) -> Result<Lifecycle, TransitionRefusal>,
) -> Result<Option<Lifecycle>> {
    let row = sqlx::query("SELECT * FROM jobs WHERE id = ?1")
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable)?;
    let Some(row) = row else { return Ok(None) };
    let before = rows::lifecycle(&row)?;
    let Ok(after) = step(before.clone()) else { return Ok(None) };
    if !write(connection, now, column(&row, "seq")?, &before, &after, &payload).await? {
        return Ok(None);
    }
    if after.state().is_terminal() {
        conclude(connection, now, &row, after.state(), &payload).await?;
    }
    Ok(Some(after))
}

/// [`apply`] for a worker's write.
pub(super) async fn apply_fenced(
    connection: &mut SqliteConnection,
    now: Timestamp,
    lease: &Lease,
    payload: Payload,
    step: impl FnOnce(Lifecycle) -> Result<Lifecycle, TransitionRefusal>,
) -> Result<Fenced> {
    let after = apply(connection, now, &lease.job, payload, step).await?;
    Ok(if after.is_some() { Fenced::Done } else { Fenced::Lost })
}

/// Prolongs a lease. The only transition that is frequent and leaves the state alone.
pub(super) async fn renew(
    connection: &mut SqliteConnection,
    now: Timestamp,
    lease: &Lease,
    duration: Duration,
) -> Result<Renewed> {
    let after =
        apply(connection, now, &lease.job, Payload::Nothing, |job| job.renew(lease, now.plus(duration))).await?;
    Ok(after.map_or(Renewed::Lost, |job| Renewed::Held { cancel_requested: job.cancel_requested }))
}

/// Ends or requeues running jobs whose lease ran out before `now`.
pub(super) async fn rescue(connection: &mut SqliteConnection, now: Timestamp) -> Result<Vec<JobId>> {
    let due = sqlx::query("SELECT id FROM jobs WHERE state = 'running' AND lease_until < ?1 ORDER BY seq").bind(now.0);
    let rows = due.fetch_all(&mut *connection).await.map_err(unavailable)?;
    end_uncleanly(connection, now, &rows, move |job| job.rescue(now, MAX_UNCLEAN_ENDS)).await
}

/// Ends or requeues all running jobs, frees all fetches, and makes webhooks due that never failed; those that did keep
/// their pause.
pub(super) async fn expire_leases(connection: &mut SqliteConnection, now: Timestamp) -> Result<Vec<JobId>> {
    sqlx::query("UPDATE deliveries SET next_at = ?1 WHERE finished_at IS NULL AND failures = 0 AND next_at > ?1")
        .bind(now.0)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    due::free_fetches(connection, Timestamp(i64::MAX)).await?;
    let running = sqlx::query("SELECT id FROM jobs WHERE state = 'running' ORDER BY seq");
    let rows = running.fetch_all(&mut *connection).await.map_err(unavailable)?;
    end_uncleanly(connection, now, &rows, |job| job.rescue(Timestamp(i64::MAX), MAX_UNCLEAN_ENDS)).await
}

async fn end_uncleanly(
    connection: &mut SqliteConnection,
    now: Timestamp,
    rows: &[SqliteRow],
    step: impl Fn(Lifecycle) -> Result<Lifecycle, TransitionRefusal>,
) -> Result<Vec<JobId>> {
    let mut rescued = Vec::new();
    for row in rows {
        let id = JobId::from(column::<String>(row, "id")?);
        let payload = Payload::Failure(endings::quarantine(endings::LEASE_RAN_OUT));
        if apply(connection, now, &id, payload, &step).await?.is_some() {
            rescued.push(id);
        }
    }
    Ok(rescued)
}

/// Fails waiting jobs that were never claimed and are late.
pub(super) async fn time_out_starts(connection: &mut SqliteConnection, now: Timestamp) -> Result<Vec<JobId>> {
    let rows = sqlx::query(
        "SELECT id, start_by FROM jobs WHERE state = 'queued' AND attempt = 0 AND start_by IS NOT NULL \
         AND start_by <= ?1 ORDER BY seq",
    )
    .bind(now.0)
    .fetch_all(&mut *connection)
    .await
    .map_err(unavailable)?;
    let mut failed = Vec::new();
    for row in &rows {
        let id = JobId::from(column::<String>(row, "id")?);
        let start_by = Timestamp(column(row, "start_by")?);
        let payload = Payload::Failure(endings::start_timeout());
        if apply(connection, now, &id, payload, |job| job.time_out_start(now, start_by)).await?.is_some() {
            failed.push(id);
        }
    }
    Ok(failed)
}

/// Removes what a deleted job said. Its row stays until it is pruned, so that readers can be told it is gone.
pub(super) async fn scrub(connection: &mut SqliteConnection, seq: i64) -> Result<()> {
    for statement in [
        "DELETE FROM job_inputs WHERE seq = ?1",
        "DELETE FROM job_results WHERE seq = ?1",
        "UPDATE jobs SET deleted = TRUE, idempotency_key = NULL, idempotency_fingerprint = NULL WHERE seq = ?1",
    ] {
        sqlx::query(statement).bind(seq).execute(&mut *connection).await.map_err(unavailable)?;
    }
    Ok(())
}

async fn write(
    connection: &mut SqliteConnection,
    now: Timestamp,
    seq: i64,
    before: &Lifecycle,
    after: &Lifecycle,
    payload: &Payload,
) -> Result<bool> {
    let (ready_at, awaits_sources, fetch_until) = match &after.phase {
        Phase::AwaitsSources { ready_at, fetch_until } => (*ready_at, true, *fetch_until),
        Phase::Queued { ready_at } => (*ready_at, false, None),
        _ => (None, false, None),
    };
    let (worker, lease_until) = match &after.phase {
        Phase::Running { worker, lease_until } => (Some(worker.as_str()), Some(lease_until.0)),
        _ => (None, None),
    };
    let failure = match (&after.phase, payload) {
        (Phase::Failed(kind), Payload::Failure(failure)) => Some((*kind, failure)),
        _ => None,
    };
    let claimed = after.attempt > before.attempt;
    let changed = sqlx::query(
        "UPDATE jobs SET state = ?1, ready_at = ?2, worker = ?3, lease_until = ?4, attempt = ?5, retries = ?6, \
         unclean_ends = ?7, cancel_requested = ?8, quarantined = ?9, started_at = COALESCE(?10, started_at), \
         finished_at = ?11, failure_kind = ?12, failure_field = ?13, failure_message = ?14, awaits_sources = ?15, \
         fetches = ?16, fetch_until = ?17 WHERE seq = ?18 AND attempt = ?19 AND fetches = ?20 AND state = ?21",
    )
    .bind(name_of(&after.state())?)
    .bind(ready_at.map(|ready_at| ready_at.0))
    .bind(worker)
    .bind(lease_until)
    .bind(after.attempt)
    .bind(after.retries)
    .bind(after.unclean_ends)
    .bind(after.cancel_requested)
    .bind(after.quarantined)
    .bind(claimed.then_some(now.0))
    .bind(after.state().is_terminal().then_some(now.0))
    .bind(failure.map(|(kind, _)| name_of(&kind)).transpose()?)
    .bind(failure.and_then(|(_, failure)| failure.field.map(Field::name)))
    .bind(failure.map(|(_, failure)| failure.message.as_str()))
    .bind(awaits_sources)
    .bind(after.fetches)
    .bind(fetch_until.map(|until| until.0))
    .bind(seq)
    .bind(before.attempt)
    .bind(before.fetches)
    .bind(name_of(&before.state())?)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(changed.rows_affected() == 1)
}

/// What an ended job leaves: result, cost, webhook, and its part of the day's sums.
async fn conclude(
    connection: &mut SqliteConnection,
    now: Timestamp,
    before: &SqliteRow,
    state: JobState,
    payload: &Payload,
) -> Result<()> {
    let seq: i64 = column(before, "seq")?;
    let mut cost_micros: i64 = column(before, "cost_micros")?;
    if let Payload::Result(result) = payload {
        cost_micros = final_cost(connection, seq, result).await?.unwrap_or(cost_micros);
        sqlx::query("INSERT INTO job_results (seq, result) VALUES (?1, ?2)")
            .bind(seq)
            .bind(rows::to_json(result)?)
            .execute(&mut *connection)
            .await
            .map_err(unavailable)?;
        sqlx::query("UPDATE jobs SET result_bytes = ?1 WHERE seq = ?2")
            .bind(result.bytes() as i64)
            .bind(seq)
            .execute(&mut *connection)
            .await
            .map_err(unavailable)?;
    }
    if state == JobState::Succeeded {
        sqlx::query(
            "INSERT INTO spending (key_id, user_name, jobs, cost_micros) VALUES (?1, ?2, 1, ?3) \
             ON CONFLICT (key_id, user_name) DO UPDATE SET jobs = spending.jobs + 1, \
             cost_micros = spending.cost_micros + excluded.cost_micros",
        )
        .bind(column::<String>(before, "key_id")?)
        .bind(column::<Option<String>>(before, "user_name")?.unwrap_or_default())
        .bind(cost_micros)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    }
    if let Some(counts) = UseCounts::of_end(state, payload.result(), cost_micros) {
        let key = KeyId::from(column::<String>(before, "key_id")?);
        day_sums::note(connection, Day::of(now), &key, counts).await?;
    }
    if let Some(url) = column::<Option<String>>(before, "webhook_url")? {
        sqlx::query(
            "INSERT INTO deliveries (job_seq, key_id, url, dialect, created_at, next_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )
        .bind(seq)
        .bind(column::<String>(before, "key_id")?)
        .bind(url)
        .bind(column::<Option<String>>(before, "webhook_dialect")?)
        .bind(now.0)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    }
    if column(before, "deleted")? {
        scrub(connection, seq).await?;
    }
    Ok(())
}

/// The price of what was made, which takes the place of the one that was expected.
async fn final_cost(connection: &mut SqliteConnection, seq: i64, result: &JobResult) -> Result<Option<i64>> {
    let row = sqlx::query("SELECT spec FROM job_inputs WHERE seq = ?1")
        .bind(seq)
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable)?;
    let spec = row.as_ref().map(|row| rows::from_json::<JobSpec>(row, "spec")).transpose()?.flatten();
    let Some(cost) = spec.and_then(|spec| spec.cost_of(result)) else { return Ok(None) };
    sqlx::query("UPDATE jobs SET cost_micros = ?1 WHERE seq = ?2")
        .bind(cost)
        .bind(seq)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(Some(cost))
}
