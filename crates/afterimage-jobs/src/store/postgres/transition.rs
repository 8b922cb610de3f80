//! Changes of state, all in one way: read and lock, ask the state machine, write. What ends a job also writes its
//! webhook and its cost here.
//!
//! The lock is what keeps a change that was made between reading and writing from being overwritten: a request to
//! cancel, or to delete. It is the weak one, which lets others refer to the row meanwhile.

use super::day_sums;
use super::session::Session;
use super::text::stored;
use crate::progress::JobProgress;
use crate::state::{Lifecycle, Phase, Transition};
use crate::store::endings::{self, Payload};
use crate::store::sql::rows::{self, column, name_of};
use crate::{Day, Fenced, JobId, JobSpec, JobState, Lease, Renewed, Result, Timestamp, UseCounts};
use afterimage_core::Field;
use sqlx::postgres::PgRow;
use std::time::Duration;

const READ: &str = "SELECT jobs.*, queue_now() AS now FROM jobs WHERE id = $1 FOR NO KEY UPDATE";

/// [`READ`] with what the price of a result depends on.
const READ_WITH_SPEC: &str = "SELECT jobs.*, queue_now() AS now, \
     (SELECT spec FROM job_inputs WHERE job_inputs.seq = jobs.seq) AS spec \
     FROM jobs WHERE id = $1 FOR NO KEY UPDATE";

/// Applies `step` to a job, with the time of the database. `None` when there is no such job, or when the state machine
/// refused.
pub(super) async fn apply(
    session: &mut Session,
    id: &JobId,
    payload: &Payload,
    step: impl FnOnce(Lifecycle, Timestamp) -> Transition,
) -> Result<Option<Lifecycle>> {
    let read = if matches!(payload, Payload::Result(_)) { READ_WITH_SPEC } else { READ };
    let Some(row) = session.optional(sqlx::query(read).bind(id.as_str())).await? else { return Ok(None) };
    let now = Timestamp(column(&row, "now")?);
    let before = rows::lifecycle(&row)?;
    let Ok(after) = step(before.clone(), now) else { return Ok(None) };
    let cost = write(session, now, &row, &before, &after, payload).await?;
    if after.state().is_terminal() {
        conclude(session, now, &row, after.state(), cost, payload).await?;
    }
    Ok(Some(after))
}

/// [`apply`] for a worker's write.
pub(super) async fn apply_fenced(
    session: &mut Session,
    lease: &Lease,
    payload: &Payload,
    step: impl FnOnce(Lifecycle, Timestamp) -> Transition,
) -> Result<Fenced> {
    let after = apply(session, &lease.job, payload, step).await?;
    Ok(if after.is_some() { Fenced::Done } else { Fenced::Lost })
}

/// Prolongs a lease: [`Lifecycle::renew`] in one statement, since it is the most frequent of all changes. It writes no
/// column that is in an index. The CASE keeps plans that were made while nothing ran from going through all that run.
pub(super) async fn renew(
    session: &mut Session,
    lease: &Lease,
    duration: Duration,
    progress: JobProgress,
) -> Result<Renewed> {
    let renewed = sqlx::query(
        "UPDATE jobs SET lease_until = queue_now() + $1, stage = $5, step = $6, steps = $7 \
         WHERE id = $2 AND CASE WHEN state = 'running' THEN attempt = $3 AND worker = $4 END RETURNING cancel_requested",
    )
    .bind(rows::milliseconds(duration))
    .bind(lease.job.as_str())
    .bind(i64::from(lease.attempt))
    .bind(lease.worker.as_str())
    .bind(progress.stage.map(|stage| name_of(&stage)).transpose()?)
    .bind(progress.step.map(|(done, _)| i64::from(done)))
    .bind(progress.step.map(|(_, total)| i64::from(total)));
    let Some(row) = session.optional(renewed).await? else { return Ok(Renewed::Lost) };
    Ok(Renewed::Held { cancel_requested: column(&row, "cancel_requested")? })
}

/// Fails waiting jobs that were never claimed and are late.
pub(super) async fn time_out_starts(session: &mut Session) -> Result<Vec<JobId>> {
    let late = sqlx::query(
        "SELECT id, start_by FROM jobs WHERE state = 'queued' AND attempt = 0 AND start_by IS NOT NULL \
         AND start_by <= queue_now() ORDER BY seq LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED",
    );
    let mut failed = Vec::new();
    for row in &session.all(late).await? {
        let id = JobId::from(column::<String>(row, "id")?);
        let start_by = Timestamp(column(row, "start_by")?);
        let payload = Payload::Failure(endings::start_timeout());
        if apply(session, &id, &payload, |job, now| job.time_out_start(now, start_by)).await?.is_some() {
            failed.push(id);
        }
    }
    Ok(failed)
}

/// Removes what deleted jobs said. Their rows stay until they are pruned, so that readers can be told they are gone.
pub(super) async fn scrub(session: &mut Session, seqs: &[i64]) -> Result<()> {
    for statement in [
        "DELETE FROM job_inputs WHERE seq = ANY($1)",
        "DELETE FROM job_results WHERE seq = ANY($1)",
        "UPDATE jobs SET deleted = TRUE, idempotency_key = NULL, idempotency_fingerprint = NULL WHERE seq = ANY($1)",
    ] {
        session.execute(sqlx::query(statement).bind(seqs)).await?;
    }
    Ok(())
}

/// Returns what the job costs from now on, in millionths of a dollar.
async fn write(
    session: &mut Session,
    now: Timestamp,
    row: &PgRow,
    before: &Lifecycle,
    after: &Lifecycle,
    payload: &Payload,
) -> Result<i64> {
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
    let result = payload.result();
    let spec = result.map(|_| rows::from_json::<JobSpec>(row, "spec")).transpose()?.flatten();
    let cost = result.and_then(|result| spec?.cost_of(result));
    // One statement, so that the journal has one entry with the final price.
    let update = sqlx::query(
        "UPDATE jobs SET state = $1, ready_at = $2, worker = $3, lease_until = $4, attempt = $5, retries = $6, \
         unclean_ends = $7, cancel_requested = $8, quarantined = $9, started_at = COALESCE($10, started_at), \
         finished_at = $11, failure_kind = $12, failure_field = $13, failure_message = $14, awaits_sources = $15, \
         fetches = $16, fetch_until = $17, result_bytes = COALESCE($18, result_bytes), \
         cost_micros = COALESCE($19, cost_micros), ran_on = COALESCE(split_part(worker, '.', 1), ran_on) \
         WHERE seq = $20",
    )
    .bind(name_of(&after.state())?)
    .bind(ready_at.map(|ready_at| ready_at.0))
    .bind(worker)
    .bind(lease_until)
    .bind(i64::from(after.attempt))
    .bind(i64::from(after.retries))
    .bind(i64::from(after.unclean_ends))
    .bind(after.cancel_requested)
    .bind(after.quarantined)
    .bind((after.attempt > before.attempt).then_some(now.0))
    .bind(after.state().is_terminal().then_some(now.0))
    .bind(failure.map(|(kind, _)| name_of(&kind)).transpose()?)
    .bind(failure.and_then(|(_, failure)| failure.field.map(Field::name)))
    .bind(failure.map(|(_, failure)| stored(&failure.message)))
    .bind(awaits_sources)
    .bind(i64::from(after.fetches))
    .bind(fetch_until.map(|until| until.0))
    .bind(result.map(|result| result.bytes() as i64))
    .bind(cost)
    .bind(column::<i64>(row, "seq")?);
    session.execute(update).await?;
    cost.map_or_else(|| column(row, "cost_micros"), Ok)
}

/// What an ended job leaves: result, webhook, and its part of the day's sums.
async fn conclude(
    session: &mut Session,
    now: Timestamp,
    before: &PgRow,
    state: JobState,
    cost_micros: i64,
    payload: &Payload,
) -> Result<()> {
    let seq: i64 = column(before, "seq")?;
    if let Some(counts) = UseCounts::of_end(state, payload.result(), cost_micros) {
        day_sums::note(session, Day::of(now), &column::<String>(before, "key_id")?, counts).await?;
    }
    if let Some(result) = payload.result() {
        let insert = sqlx::query("INSERT INTO job_results (seq, result) VALUES ($1, $2)");
        session.execute(insert.bind(seq).bind(stored(&rows::to_json(result)?).into_owned())).await?;
    }
    if let Some(url) = column::<Option<String>>(before, "webhook_url")? {
        let insert = sqlx::query(
            "INSERT INTO deliveries (job_seq, key_id, url, dialect, created_at, next_at) VALUES ($1, $2, $3, $4, $5, $5)",
        )
        .bind(seq)
        .bind(column::<String>(before, "key_id")?)
        .bind(stored(&url))
        .bind(column::<Option<String>>(before, "webhook_dialect")?)
        .bind(now.0);
        session.execute(insert).await?;
    }
    if column(before, "deleted")? {
        scrub(session, &[seq]).await?;
    }
    Ok(())
}
