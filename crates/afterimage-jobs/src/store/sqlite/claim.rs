//! The next job for a worker, from the queues of the models that it serves.
//!
//! Keys at their limit of running jobs are passed over. Looking only at what is due next would walk through all jobs
//! of such a key, so there are two stages: the first few by due time, of which one nearly always will do; else each
//! key's first job, found by skipping from key to key along an index. Neither depends on how many jobs wait.

use super::rows::{self, column, select_jobs};
use super::transition;
use super::{due, turns, unavailable, unreadable};
use crate::store::endings::{MOST_UNREADABLE, Payload};
use crate::{Job, JobId, Lease, Queue, Result, Timestamp, WorkerId};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

const FIRST_FEW: &str = "SELECT first.id FROM \
     (SELECT id, key_id, due, seq FROM jobs WHERE engine_model = ?1 AND state = 'queued' AND ready_at IS NULL \
     AND NOT awaits_sources ORDER BY due, seq LIMIT 16) \
     AS first JOIN keys ON keys.id = first.key_id \
     WHERE keys.concurrency IS NULL OR keys.concurrency > \
     (SELECT COUNT(*) FROM jobs AS running WHERE running.state = 'running' AND running.key_id = first.key_id) \
     ORDER BY first.due, first.seq LIMIT 1";

const FIRST_OF_EACH_KEY: &str = "WITH RECURSIVE waiting (key_id) AS ( \
     SELECT MIN(key_id) FROM jobs WHERE engine_model = ?1 AND state = 'queued' AND ready_at IS NULL \
     AND NOT awaits_sources \
     UNION ALL \
     SELECT (SELECT MIN(jobs.key_id) FROM jobs WHERE jobs.engine_model = ?1 \
             AND jobs.state = 'queued' AND jobs.ready_at IS NULL AND NOT jobs.awaits_sources \
             AND jobs.key_id > waiting.key_id) \
     FROM waiting WHERE waiting.key_id IS NOT NULL), \
     open (seq) AS ( \
     SELECT (SELECT jobs.seq FROM jobs WHERE jobs.engine_model = ?1 AND jobs.state = 'queued' \
             AND jobs.ready_at IS NULL AND NOT jobs.awaits_sources AND jobs.key_id = waiting.key_id ORDER BY jobs.due, jobs.seq LIMIT 1) \
     FROM waiting JOIN keys ON keys.id = waiting.key_id \
     WHERE keys.concurrency IS NULL OR keys.concurrency > \
     (SELECT COUNT(*) FROM jobs AS running WHERE running.state = 'running' AND running.key_id = waiting.key_id)) \
     SELECT jobs.id FROM open JOIN jobs ON jobs.seq = open.seq ORDER BY jobs.due, jobs.seq LIMIT 1";

/// Takes the job that is due next in the first of `queues` that has one.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    now: Timestamp,
    worker: &WorkerId,
    queues: &[Queue],
    lease: Duration,
) -> Result<Option<Job>> {
    transition::time_out_starts(connection, now).await?;
    due::wake_delayed(connection, now).await?;
    for _ in 0..MOST_UNREADABLE {
        let Some(row) = next(connection, queues).await? else { return Ok(None) };
        let id = JobId::from(column::<String>(&row, "id")?);
        let step = |job: crate::state::Lifecycle| job.claim(worker, now, now.plus(lease));
        let Some(after) = transition::apply(connection, now, &id, Payload::Nothing, step).await? else {
            return Ok(None);
        };
        let row = sqlx::query(select_jobs!("WHERE jobs.id = ?1"))
            .bind(id.as_str())
            .fetch_one(&mut *connection)
            .await
            .map_err(unavailable)?;
        turns::note(connection, &row).await?;
        let held = Lease { job: id, attempt: after.attempt, worker: worker.clone() };
        let job = unreadable::job_or_end(connection, now, &row, |job, kind| job.fail(&held, kind)).await?;
        if job.is_some() {
            return Ok(job);
        }
    }
    Ok(None)
}

async fn next(connection: &mut SqliteConnection, queues: &[Queue]) -> Result<Option<SqliteRow>> {
    for queue in queues {
        for statement in [FIRST_FEW, FIRST_OF_EACH_KEY] {
            let query = sqlx::query(statement).bind(rows::queue_name(queue));
            if let Some(row) = query.fetch_optional(&mut *connection).await.map_err(unavailable)? {
                return Ok(Some(row));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteStore, SystemClock};
    use std::sync::Arc;

    /// Jobs that await their pictures or are delayed are in neither index, however many there are.
    #[tokio::test]
    async fn the_next_job_comes_from_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
        for (statement, index, reads) in [(FIRST_FEW, "jobs_due", 1), (FIRST_OF_EACH_KEY, "jobs_due_by_key", 3)] {
            let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let steps = sqlx::query(explained).bind("").fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = steps.iter().map(|step| column(step, "detail").unwrap()).collect();
            let by_index = steps.iter().filter(|step| step.contains(&format!("INDEX {index}"))).count();
            assert_eq!(by_index, reads, "{steps:#?}");
            let walks = steps.iter().filter(|step| step.starts_with("SCAN jobs") && !step.contains("INDEX"));
            assert_eq!(walks.count(), 0, "{steps:#?}");
        }
    }
}
