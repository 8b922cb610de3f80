//! The queue's own time, see [`order`].

use super::rows::{column, priority_number, priority_numbered};
use super::unavailable;
use crate::store::order::{self, Place};
use crate::{Priority, Result};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

/// What the tag of a job depends on that waits from now on, and is not among those waiting yet.
pub(super) async fn place(
    connection: &mut SqliteConnection,
    key: &str,
    priority: Priority,
    awaits_sources: bool,
) -> Result<Place> {
    let row = sqlx::query(
        "SELECT (SELECT virtual_time FROM queue_time) AS virtual_time, \
         (SELECT claimed_end FROM turns WHERE key_id = ?1 AND priority = ?2) AS claimed_end",
    )
    .bind(key)
    .bind(priority_number(priority))
    .fetch_one(&mut *connection)
    .await
    .map_err(unavailable)?;
    let last = sqlx::query(
        "SELECT due, work FROM jobs WHERE state = 'queued' AND key_id = ?1 AND priority = ?2 AND awaits_sources = ?3 \
         ORDER BY due DESC, seq DESC LIMIT 1",
    )
    .bind(key)
    .bind(priority_number(priority))
    .bind(awaits_sources)
    .fetch_optional(connection)
    .await
    .map_err(unavailable)?;
    let waiting_end = last.map(|last| Ok(order::end(column(&last, "due")?, column(&last, "work")?, priority)));
    Ok(Place {
        virtual_time: column::<Option<i64>>(&row, "virtual_time")?.unwrap_or_default(),
        claimed_end: column(&row, "claimed_end")?,
        waiting_end: waiting_end.transpose()?,
    })
}

/// The time goes on to the job in `row`, which was claimed.
pub(super) async fn note(connection: &mut SqliteConnection, row: &SqliteRow) -> Result<()> {
    let (tag, priority) = (column::<i64>(row, "due")?, column::<i64>(row, "priority")?);
    let end = order::end(tag, column(row, "work")?, priority_numbered(priority));
    sqlx::query("UPDATE queue_time SET virtual_time = ?1 WHERE virtual_time < ?1")
        .bind(tag)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    sqlx::query(
        "INSERT INTO turns (key_id, priority, claimed_end) VALUES (?1, ?2, ?3) \
         ON CONFLICT (key_id, priority) DO UPDATE SET claimed_end = excluded.claimed_end \
         WHERE turns.claimed_end < excluded.claimed_end",
    )
    .bind(column::<String>(row, "key_id")?)
    .bind(priority)
    .bind(end)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}
