//! How jobs leave the database: deleted, swept, pruned.

use super::rows::column;
use super::{transition, unavailable};
use crate::{Due, JobId, Result, Timestamp};
use sqlx::{SqliteConnection, SqlitePool};

/// Ended jobs that the general rule makes due.
const OLD: &str = "SELECT seq, id FROM jobs WHERE finished_at IS NOT NULL AND NOT deleted AND finished_at < ?1 \
     ORDER BY finished_at LIMIT ?2";

/// Ended jobs whose own time is over.
const OWN_TIME_OVER: &str = "SELECT seq, id FROM jobs WHERE kept_for IS NOT NULL AND finished_at IS NOT NULL \
     AND NOT deleted AND (finished_at + kept_for) < ?1 AND NOT EXISTS \
     (SELECT 1 FROM deliveries WHERE deliveries.job_seq = jobs.seq AND deliveries.finished_at IS NULL) \
     ORDER BY (finished_at + kept_for) LIMIT ?2";

/// Deletes jobs that ended long ago, then those whose own time is over.
pub(super) async fn expire_jobs(connection: &mut SqliteConnection, due: Due, limit: u32) -> Result<Vec<JobId>> {
    let mut expired = Vec::new();
    for (statement, before) in [(OLD, due.before), (OWN_TIME_OVER, due.now)] {
        let found = sqlx::query(statement).bind(before.0).bind(limit.saturating_sub(expired.len() as u32));
        for row in &found.fetch_all(&mut *connection).await.map_err(unavailable)? {
            transition::scrub(connection, column(row, "seq")?).await?;
            expired.push(JobId::from(column::<String>(row, "id")?));
        }
    }
    Ok(expired)
}

/// The same jobs, untouched.
pub(super) async fn due_jobs(readers: &SqlitePool, due: Due, limit: u32) -> Result<Vec<JobId>> {
    let mut found: Vec<JobId> = Vec::new();
    for (statement, before) in [(OLD, due.before), (OWN_TIME_OVER, due.now)] {
        let query = sqlx::query(statement).bind(before.0).bind(limit);
        for row in &query.fetch_all(readers).await.map_err(unavailable)? {
            found.push(JobId::from(column::<String>(row, "id")?));
        }
    }
    found.truncate(limit as usize);
    Ok(found)
}

/// Deleted jobs that still have blobs.
pub(super) async fn unswept_jobs(readers: &SqlitePool, limit: u32) -> Result<Vec<JobId>> {
    let query = sqlx::query(
        "SELECT id FROM jobs WHERE finished_at IS NOT NULL AND deleted AND swept = FALSE ORDER BY finished_at LIMIT ?1",
    );
    let rows = query.bind(limit).fetch_all(readers).await.map_err(unavailable)?;
    rows.iter().map(|row| Ok(JobId::from(column::<String>(row, "id")?))).collect()
}

/// Notes that blobs are gone.
pub(super) async fn mark_jobs_swept(connection: &mut SqliteConnection, jobs: &[JobId]) -> Result<()> {
    for id in jobs {
        let swept = "UPDATE jobs SET swept = TRUE, input_bytes = 0, result_bytes = 0 \
                     WHERE id = ?1 AND deleted AND finished_at IS NOT NULL";
        sqlx::query(swept).bind(id.as_str()).execute(&mut *connection).await.map_err(unavailable)?;
    }
    Ok(())
}

/// Forgets deleted jobs, with their deliveries.
pub(super) async fn prune_jobs(
    connection: &mut SqliteConnection,
    finished_before: Timestamp,
    limit: u32,
) -> Result<u64> {
    let pruned = sqlx::query(
        "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE finished_at IS NOT NULL AND deleted \
         AND swept = TRUE AND finished_at < ?1 AND NOT EXISTS \
         (SELECT 1 FROM deliveries WHERE deliveries.job_seq = jobs.seq AND deliveries.finished_at IS NULL) \
         ORDER BY finished_at LIMIT ?2)",
    )
    .bind(finished_before.0)
    .bind(limit)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(pruned.rows_affected())
}
