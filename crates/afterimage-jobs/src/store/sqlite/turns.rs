//! The queues' own times, see [`order`].

use super::rows::{self, column, priority_number, priority_numbered};
use super::unavailable;
use crate::store::order::{self, Place};
use crate::{KeyId, Priority, Queue, Result};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

/// What the tag of a job depends on that waits in `queue` from now on, and is not among those waiting yet.
pub(super) async fn place(
    connection: &mut SqliteConnection,
    queue: &Queue,
    key: &KeyId,
    priority: Priority,
) -> Result<Place> {
    let before = "SELECT (SELECT virtual_time FROM queue_times WHERE engine_model = ?3) AS virtual_time, \
         (SELECT claimed_end FROM turns WHERE key_id = ?1 AND priority = ?2 AND engine_model = ?3) AS claimed_end";
    let last = "SELECT due, work FROM jobs WHERE state = 'queued' AND key_id = ?1 AND priority = ?2 \
         AND NOT awaits_sources AND engine_model = ?3 ORDER BY due DESC, seq DESC LIMIT 1";
    read(connection, [before, last], key, priority, rows::queue_name(queue)).await
}

/// The same for a job that waits for its pictures, in the one order of fetching for all queues.
pub(super) async fn place_awaiting(
    connection: &mut SqliteConnection,
    key: &KeyId,
    priority: Priority,
) -> Result<Place> {
    let before = "SELECT (SELECT MAX(virtual_time) FROM queue_times) AS virtual_time, \
         (SELECT MAX(claimed_end) FROM turns WHERE key_id = ?1 AND priority = ?2) AS claimed_end";
    let last = "SELECT due, work FROM jobs WHERE state = 'queued' AND key_id = ?1 AND priority = ?2 \
         AND awaits_sources ORDER BY due DESC, seq DESC LIMIT 1";
    read(connection, [before, last], key, priority, "").await
}

/// The parameters of both statements are key, priority and, where it says so, queue.
async fn read(
    connection: &mut SqliteConnection,
    [before, last]: [&'static str; 2],
    key: &KeyId,
    priority: Priority,
    queue: &str,
) -> Result<Place> {
    let bound = |statement| sqlx::query(statement).bind(key.as_str()).bind(priority_number(priority)).bind(queue);
    let before = bound(before).fetch_one(&mut *connection).await.map_err(unavailable)?;
    let last = bound(last).fetch_optional(connection).await.map_err(unavailable)?;
    let waiting_end = last.map(|last| rows::chain_end(&last, priority));
    Ok(Place {
        virtual_time: column::<Option<i64>>(&before, "virtual_time")?.unwrap_or_default(),
        claimed_end: column(&before, "claimed_end")?,
        waiting_end: waiting_end.transpose()?,
    })
}

/// The time of its queue goes on to the job in `row`, which was claimed.
pub(super) async fn note(connection: &mut SqliteConnection, row: &SqliteRow) -> Result<()> {
    let queue = column::<String>(row, "engine_model")?;
    let (tag, priority) = (column::<i64>(row, "due")?, column::<i64>(row, "priority")?);
    let end = order::end(tag, column(row, "work")?, priority_numbered(priority));
    sqlx::query(
        "INSERT INTO queue_times (engine_model, virtual_time) VALUES (?1, ?2) \
         ON CONFLICT (engine_model) DO UPDATE SET virtual_time = excluded.virtual_time \
         WHERE queue_times.virtual_time < excluded.virtual_time",
    )
    .bind(&queue)
    // A head start does not turn the time back to before its beginning.
    .bind(tag.max(0))
    .execute(&mut *connection)
    .await
    .map_err(unavailable)?;
    sqlx::query(
        "INSERT INTO turns (engine_model, key_id, priority, claimed_end) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (key_id, priority, engine_model) DO UPDATE SET claimed_end = excluded.claimed_end \
         WHERE turns.claimed_end < excluded.claimed_end",
    )
    .bind(&queue)
    .bind(column::<String>(row, "key_id")?)
    .bind(priority)
    .bind(end)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}
