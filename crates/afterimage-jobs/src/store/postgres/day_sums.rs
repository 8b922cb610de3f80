//! The sums of what keys had made, by day: noted at each end, added up once a second.

use super::session::Session;
use crate::{Day, Result, UseCounts};

/// Adds up what the journal holds, as much as one transaction should.
const FOLD: &str = "WITH noted AS (DELETE FROM usage_journal \
         WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage_journal LIMIT 10000)) RETURNING *) \
     INSERT INTO usage_days (day, key_id, jobs, pictures, failures, cost_micros) \
     SELECT day, key_id, SUM(jobs), SUM(pictures), SUM(failures), SUM(cost_micros) FROM noted GROUP BY day, key_id \
     ON CONFLICT (day, key_id) DO UPDATE SET jobs = usage_days.jobs + excluded.jobs, \
         pictures = usage_days.pictures + excluded.pictures, failures = usage_days.failures + excluded.failures, \
         cost_micros = usage_days.cost_micros + excluded.cost_micros";

/// Notes that `counts` belong to what the key `key` had made on `day`.
pub(super) async fn note(session: &mut Session, day: Day, key: &str, counts: UseCounts) -> Result<()> {
    let insert = sqlx::query(
        "INSERT INTO usage_journal (day, key_id, jobs, pictures, failures, cost_micros) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(day.0)
    .bind(key)
    .bind(counts.jobs as i64)
    .bind(counts.pictures as i64)
    .bind(counts.failures as i64)
    .bind(counts.cost_micros);
    session.execute(insert).await?;
    Ok(())
}

/// Adds up what was noted.
pub(super) async fn fold(session: &mut Session) -> Result<()> {
    session.execute(sqlx::query(FOLD)).await?;
    Ok(())
}
