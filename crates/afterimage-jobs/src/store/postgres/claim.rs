//! The next job for a worker, from the queues of the models that it serves.
//!
//! Whoever claims looks at the first few jobs and takes the first that nobody else is about to take. Keys at their limit
//! of running jobs are passed over; should all of the first few be theirs, the first jobs of each key follow, found by
//! skipping from key to key along an index. None of it depends on how many jobs wait.
//!
//! Two that claim at once may both find room below a key's limit. So who has claimed a job of a limited key locks the key,
//! counts again, and takes the claim back when it is one too many.

use super::session::Session;
use super::{PostgresStore, unreadable, upkeep};
use crate::spec_protocol::SPEC_PROTOCOL;
use crate::store::sql::rows::{self, column, select_jobs};
use crate::{Job, Lease, Queue, Result, WorkerId};
use sqlx::postgres::PgRow;
use std::time::Duration;

/// Claims are taken back at most this often in one call; each time one more key is passed over.
const MOST_TRIES: usize = 16;

/// One claim in one statement: the first few of what waits, and of those the first whose key may run one more. Keys at their
/// limit are looked for among the keys of `$of` only: there may be thousands elsewhere.
macro_rules! claim_one {
    ($($before:literal),+; $of:literal; $after:literal) => {
        concat!(
            "WITH RECURSIVE ",
            $($before,)+
            "busy AS MATERIALIZED (SELECT limited.id FROM keys AS limited \
             WHERE limited.id IN (SELECT key_id FROM ",
            $of,
            ") AND limited.concurrency IS NOT NULL AND (SELECT COUNT(*) FROM (SELECT 1 FROM jobs AS held \
                 WHERE held.state = 'running' AND held.key_id = limited.id LIMIT limited.concurrency) AS held) \
                 >= limited.concurrency), ",
            $after,
            // A CTE, or the planner may run it several times and take several jobs. What was read before is read again,
            // since somebody may have changed it. In a CASE, or a plan that was made while nothing waited would look the
            // few up in an index of all that wait, which is a million rows later on.
            "picked AS (SELECT jobs.seq FROM candidates JOIN jobs USING (seq) WHERE CASE WHEN jobs.state = 'queued' \
                 AND jobs.ready_at IS NULL AND NOT jobs.awaits_sources AND jobs.protocol <= $5 \
                 THEN jobs.start_by IS NULL OR jobs.attempt > 0 OR jobs.start_by > queue_now() END \
                 AND NOT EXISTS (SELECT 1 FROM busy WHERE busy.id = jobs.key_id) AND jobs.key_id <> ALL ($4) \
                 ORDER BY jobs.due, jobs.seq LIMIT 1 FOR NO KEY UPDATE OF jobs SKIP LOCKED) \
             UPDATE jobs SET state = 'running', attempt = attempt + 1, worker = $2, started_at = queue_now(), \
                 lease_until = queue_now() + $3, stage = NULL, step = NULL, steps = NULL \
             FROM picked JOIN job_inputs ON job_inputs.seq = picked.seq WHERE jobs.seq = picked.seq \
             RETURNING jobs.*, job_inputs.input, job_inputs.spec, NULL::TEXT AS result, \
                 (SELECT concurrency FROM keys WHERE keys.id = jobs.key_id) AS key_limit"
        )
    };
}

/// The first so many from a tag on. Parameters: queue, worker, length of the lease, keys to pass over, what the worker understands,
/// smallest tag.
macro_rules! claim_first {
    ($window:literal) => {
        claim_one!(
            "candidates AS MATERIALIZED (SELECT seq, key_id FROM jobs WHERE engine_model = $1 AND state = 'queued' \
                 AND ready_at IS NULL AND NOT awaits_sources AND protocol <= $5 AND due >= $6 ORDER BY due, seq LIMIT ",
            $window,
            "), ";
            "candidates";
            ""
        )
    };
}

/// Mostly one of these can be had, and each more that is looked at costs as much as it does.
const FIRST_FEW: &str = claim_first!("8");
const FEW: i64 = 8;

/// More than processes that claim at the same moment.
const FIRST_MORE: &str = claim_first!("64");
const MORE: i64 = 64;

/// Whether so many are there, from a tag on. An idle worker asks, so it has to cost little. Parameters: queue, tag, all but one
/// of them.
const ARE_THERE: &str = "SELECT 1 FROM jobs WHERE engine_model = $1 AND state = 'queued' AND ready_at IS NULL \
     AND NOT awaits_sources AND due >= $2 ORDER BY due, seq LIMIT 1 OFFSET $3";

/// Parameters as before, without the tag.
const FIRST_OF_EACH_KEY: &str = claim_one!(
    "waiting (key_id) AS ( \
         (SELECT key_id FROM jobs WHERE engine_model = $1 AND state = 'queued' AND ready_at IS NULL \
          AND NOT awaits_sources ORDER BY key_id LIMIT 1) \
         UNION ALL \
         SELECT (SELECT jobs.key_id FROM jobs WHERE jobs.engine_model = $1 AND jobs.state = 'queued' \
                 AND jobs.ready_at IS NULL AND NOT jobs.awaits_sources AND jobs.key_id > waiting.key_id \
                 ORDER BY jobs.key_id LIMIT 1) \
         FROM waiting WHERE waiting.key_id IS NOT NULL), ";
    "waiting";
    "candidates AS MATERIALIZED (SELECT first.seq FROM waiting CROSS JOIN LATERAL ( \
             SELECT jobs.seq, jobs.due FROM jobs WHERE jobs.engine_model = $1 AND jobs.state = 'queued' \
             AND jobs.ready_at IS NULL AND NOT jobs.awaits_sources AND jobs.key_id = waiting.key_id AND jobs.protocol <= $5 \
             ORDER BY jobs.due, jobs.seq LIMIT 16) AS first \
         WHERE NOT EXISTS (SELECT 1 FROM busy WHERE busy.id = waiting.key_id) AND waiting.key_id <> ALL ($4) \
         ORDER BY first.due, first.seq LIMIT 64), "
);

/// What came of a try.
enum Claimed {
    Job(Box<Job>, i64),
    /// Nothing to claim.
    Nothing,
    /// The job was of a key that has become full meanwhile; nothing was claimed.
    Full(String),
    /// The job could not be read and has failed; there may be others.
    Unreadable,
}

/// Takes the job that is due next in the first of `queues` that has one.
pub(super) async fn claim(
    store: &PostgresStore,
    worker: &WorkerId,
    queues: &[Queue],
    lease: Duration,
) -> Result<Option<Job>> {
    if let Some(held) = resume(store, worker).await? {
        return Ok(Some(held));
    }
    for queue in queues {
        let mut full = Vec::new();
        let mut beginning = store.claims.floors.begin(queue);
        for _ in 0..MOST_TRIES {
            match claim_from(store, worker, queue, lease, full.clone(), beginning.due).await? {
                Claimed::Job(job, due) => {
                    store.claims.floors.claimed(queue, beginning, due);
                    return Ok(Some(*job));
                }
                Claimed::Full(key) => full.push(key),
                Claimed::Unreadable => {}
                Claimed::Nothing if beginning.due.is_none() => break,
                // What was put back lies below the floor.
                Claimed::Nothing => {
                    store.claims.floors.forget(queue);
                    beginning = store.claims.floors.begin(queue);
                }
            }
        }
    }
    Ok(None)
}

async fn claim_from(
    store: &PostgresStore,
    worker: &WorkerId,
    queue: &Queue,
    lease: Duration,
    full: Vec<String>,
    floor: Option<i64>,
) -> Result<Claimed> {
    let (worker, queue, keeps_house) = (worker.clone(), queue.clone(), store.keeps_house_at_each_call);
    let claims = worker.clone();
    let outcome = store
        .database
        .write(move |session| {
            let (worker, queue, full) = (worker.clone(), queue.clone(), full.clone());
            Box::pin(async move {
                if keeps_house {
                    upkeep::wake(session).await?;
                }
                try_claim(session, &worker, &queue, lease, &full, floor).await
            })
        })
        .await;
    if outcome.is_err() {
        // It may have been committed all the same.
        store.claims.doubt(claims);
    }
    outcome
}

async fn try_claim(
    session: &mut Session,
    worker: &WorkerId,
    queue: &Queue,
    lease: Duration,
    full: &[String],
    floor: Option<i64>,
) -> Result<Claimed> {
    let bound = |statement: &'static str| {
        sqlx::query(statement)
            .bind(rows::queue_name(queue).to_owned())
            .bind(worker.as_str().to_owned())
            .bind(rows::milliseconds(lease))
            .bind(full.to_vec())
            .bind(SPEC_PROTOCOL)
    };
    let beginning = floor.unwrap_or(i64::MIN);
    let mut row = session.optional(bound(FIRST_FEW).bind(beginning)).await?;
    if row.is_none() && are_there(session, queue, beginning, FEW).await? {
        row = session.optional(bound(FIRST_MORE).bind(beginning)).await?;
        // Below a floor there may be some that come first; the caller asks again.
        if row.is_none() && floor.is_none() && are_there(session, queue, beginning, MORE).await? {
            session.plan_anew();
            row = session.optional(bound(FIRST_OF_EACH_KEY)).await?;
        }
    }
    let Some(row) = row else { return Ok(Claimed::Nothing) };
    if is_one_too_many(session, &row).await? {
        session.undo();
        return Ok(Claimed::Full(column(&row, "key_id")?));
    }
    let lease =
        Lease { job: column::<String>(&row, "id")?.into(), attempt: column(&row, "attempt")?, worker: worker.clone() };
    let due = column(&row, "due")?;
    let job = unreadable::job_or_end(session, &row, |job, kind| job.fail(&lease, kind)).await?;
    Ok(job.map_or(Claimed::Unreadable, |job| Claimed::Job(Box::new(job), due)))
}

/// Whether at least so many wait in `queue`: otherwise a claim has looked at all of them.
async fn are_there(session: &mut Session, queue: &Queue, beginning: i64, count: i64) -> Result<bool> {
    let query = sqlx::query(ARE_THERE).bind(rows::queue_name(queue)).bind(beginning).bind(count - 1);
    Ok(session.optional(query).await?.is_some())
}

/// Whether the job just claimed is more than its key may run.
async fn is_one_too_many(session: &mut Session, row: &PgRow) -> Result<bool> {
    let Some(limit) = column::<Option<i64>>(row, "key_limit")? else { return Ok(false) };
    let key = column::<String>(row, "key_id")?;
    // The weak lock: a submit refers to the key and must not wait.
    session.execute(sqlx::query("SELECT 1 FROM keys WHERE id = $1 FOR NO KEY UPDATE").bind(&key)).await?;
    // A statement of its own, which sees what others have committed before the lock was had.
    let count = sqlx::query("SELECT COUNT(*) AS running FROM jobs WHERE state = 'running' AND key_id = $1");
    let row = session.one(count.bind(&key)).await?;
    Ok(column::<i64>(&row, "running")? > limit)
}

/// The job that a claim took of which nobody heard. A worker asks when it has nothing in hand, so what the database says
/// is its is that.
async fn resume(store: &PostgresStore, worker: &WorkerId) -> Result<Option<Job>> {
    if !store.claims.is_doubtful(worker) {
        return Ok(None);
    }
    let name = worker.clone();
    let row = store
        .database
        .read(|session| {
            let held = sqlx::query(select_jobs!("WHERE jobs.state = 'running' AND jobs.worker = $1"));
            Box::pin(session.optional(held.bind(name.as_str().to_owned())))
        })
        .await?;
    row.as_ref().map(rows::job).transpose()
}
