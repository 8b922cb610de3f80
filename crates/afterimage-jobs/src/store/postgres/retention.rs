//! How jobs leave the database: deleted, swept, pruned. Several servers may do so at once: each takes rows that no other
//! has in hand.

use super::session::Session;
use super::{transition, turns};
use crate::store::sql::rows::column;
use crate::{Due, JobId, Result, Timestamp};
use sqlx::postgres::PgRow;

/// Ended jobs that the general rule makes due.
const OLD: &str = "SELECT seq, id FROM jobs WHERE finished_at IS NOT NULL AND NOT deleted AND finished_at < $1 \
     ORDER BY finished_at LIMIT $2";

/// Ended jobs whose own time is over.
const OWN_TIME_OVER: &str = "SELECT seq, id FROM jobs WHERE kept_for IS NOT NULL AND finished_at IS NOT NULL \
     AND NOT deleted AND (finished_at + kept_for) < $1 AND NOT EXISTS \
     (SELECT 1 FROM deliveries WHERE deliveries.job_seq = jobs.seq AND deliveries.finished_at IS NULL) \
     ORDER BY (finished_at + kept_for) LIMIT $2";

/// Locks those of the rows found that are still to be deleted and that nobody else is at.
const LOCK: &str = "SELECT seq, id FROM jobs WHERE seq = ANY ($1) AND NOT deleted ORDER BY seq FOR UPDATE SKIP LOCKED";

/// Deletes jobs that ended long ago, then those whose own time is over.
pub(super) async fn expire_jobs(session: &mut Session, due: Due, limit: u32) -> Result<Vec<JobId>> {
    let mut expired = Vec::new();
    for (statement, before) in [(OLD, due.before), (OWN_TIME_OVER, due.now)] {
        let left = i64::from(limit) - expired.len() as i64;
        let found = session.all(sqlx::query(statement).bind(before.0).bind(left)).await?;
        let locked = session.all(sqlx::query(LOCK).bind(seqs(&found)?)).await?;
        transition::scrub(session, &seqs(&locked)?).await?;
        for row in &locked {
            expired.push(JobId::from(column::<String>(row, "id")?));
        }
    }
    Ok(expired)
}

fn seqs(rows: &[PgRow]) -> Result<Vec<i64>> {
    rows.iter().map(|row| column(row, "seq")).collect()
}

/// The same jobs, untouched.
pub(super) async fn due_jobs(session: &mut Session, due: Due, limit: u32) -> Result<Vec<JobId>> {
    let mut found: Vec<JobId> = Vec::new();
    for (statement, before) in [(OLD, due.before), (OWN_TIME_OVER, due.now)] {
        for row in &session.all(sqlx::query(statement).bind(before.0).bind(i64::from(limit))).await? {
            found.push(JobId::from(column::<String>(row, "id")?));
        }
    }
    found.truncate(limit as usize);
    Ok(found)
}

/// Deleted jobs that still have blobs.
pub(super) async fn unswept_jobs(session: &mut Session, limit: u32) -> Result<Vec<JobId>> {
    let query = sqlx::query(
        "SELECT id FROM jobs WHERE finished_at IS NOT NULL AND deleted AND swept = FALSE ORDER BY finished_at LIMIT $1",
    );
    let rows = session.all(query.bind(i64::from(limit))).await?;
    rows.iter().map(|row| Ok(JobId::from(column::<String>(row, "id")?))).collect()
}

/// Notes that blobs are gone.
pub(super) async fn mark_jobs_swept(session: &mut Session, jobs: Vec<String>) -> Result<()> {
    let swept = "UPDATE jobs SET swept = TRUE, input_bytes = 0, result_bytes = 0 WHERE seq IN (SELECT seq FROM jobs \
                 WHERE id = ANY ($1) AND deleted AND finished_at IS NOT NULL ORDER BY seq FOR NO KEY UPDATE)";
    session.execute(sqlx::query(swept).bind(jobs)).await?;
    Ok(())
}

/// Forgets deleted jobs, with their deliveries.
pub(super) async fn prune_jobs(session: &mut Session, finished_before: Timestamp, limit: u32) -> Result<u64> {
    let pruned = sqlx::query(
        "DELETE FROM jobs WHERE seq = ANY (ARRAY(SELECT seq FROM jobs WHERE finished_at IS NOT NULL AND deleted \
         AND swept = TRUE AND finished_at < $1 AND NOT EXISTS \
         (SELECT 1 FROM deliveries WHERE deliveries.job_seq = jobs.seq AND deliveries.finished_at IS NULL) \
         ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)) \
         RETURNING engine_model, key_id, priority, due, work, started_at",
    );
    let rows = session.all(pruned.bind(finished_before.0).bind(i64::from(limit))).await?;
    let count = rows.len() as u64;
    let mut claimed = Vec::new();
    for row in rows {
        if column::<Option<i64>>(&row, "started_at")?.is_some() {
            claimed.push(row);
        }
    }
    turns::keep(session, &claimed).await?;
    Ok(count)
}
