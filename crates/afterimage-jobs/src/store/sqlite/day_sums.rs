//! The sums of what keys had made, by day.

use super::error::unavailable;
use crate::{Day, KeyId, Result, UseCounts};
use sqlx::SqliteConnection;

/// Adds `counts` to what `key` had made on `day`.
pub(super) async fn note(connection: &mut SqliteConnection, day: Day, key: &KeyId, counts: UseCounts) -> Result<()> {
    sqlx::query(
        "INSERT INTO usage_days (day, key_id, jobs, pictures, failures, cost_micros) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (day, key_id) DO UPDATE SET jobs = jobs + excluded.jobs, pictures = pictures + excluded.pictures, \
         failures = failures + excluded.failures, cost_micros = cost_micros + excluded.cost_micros",
    )
    .bind(day.0)
    .bind(key.as_str())
    .bind(counts.jobs as i64)
    .bind(counts.pictures as i64)
    .bind(counts.failures as i64)
    .bind(counts.cost_micros)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}
