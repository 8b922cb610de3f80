//! What the clock alone makes of waiting jobs.

use super::unavailable;
use crate::{Result, Timestamp};
use sqlx::SqliteConnection;

/// Delayed jobs stay out of the queue's indexes until their time has come, so that claims never walk past them.
pub(super) async fn wake_delayed(connection: &mut SqliteConnection, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE jobs SET ready_at = NULL WHERE state = 'queued' AND ready_at IS NOT NULL AND ready_at <= ?1")
        .bind(now.0)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}
/// Frees fetches whose lease ran out before `expired_at`.
pub(super) async fn free_fetches(connection: &mut SqliteConnection, expired_at: Timestamp) -> Result<()> {
    sqlx::query("UPDATE jobs SET fetch_until = NULL WHERE fetch_until IS NOT NULL AND fetch_until < ?1")
        .bind(expired_at.0)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}
