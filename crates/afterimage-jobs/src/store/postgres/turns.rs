//! The queues' own times, see [`order`]. What was claimed is in the jobs themselves: the largest
//! tag of a queue's claimed jobs is its virtual time. Only what is forgotten of them is kept beside.

use super::session::{Session, Statement};
use crate::store::order::{self, Place};
use crate::store::sql::rows::{self, column, priority_number, priority_numbered};
use crate::{KeyId, Priority, Queue, Result};
use sqlx::postgres::PgRow;

/// What the tag of a job depends on that waits in a queue; parameters: key, priority, its head start, queue.
const PLACE: &str = "SELECT \
     (SELECT MAX(time) FROM ( \
         (SELECT virtual_time AS time FROM queue_times WHERE engine_model = $4) UNION ALL \
         (SELECT due FROM jobs WHERE engine_model = $4 AND started_at IS NOT NULL ORDER BY due DESC LIMIT 1) \
     ) AS times) AS virtual_time, \
     (SELECT MAX(finish) FROM ( \
         (SELECT claimed_end AS finish FROM turns WHERE key_id = $1 AND priority = $2 AND engine_model = $4) UNION ALL \
         (SELECT due + work + $3 FROM jobs WHERE key_id = $1 AND priority = $2 AND engine_model = $4 \
          AND started_at IS NOT NULL ORDER BY due + work DESC LIMIT 1) \
     ) AS ends) AS claimed_end, \
     (SELECT due + work + $3 FROM jobs WHERE state = 'queued' AND key_id = $1 AND priority = $2 AND engine_model = $4 \
      AND NOT awaits_sources ORDER BY due DESC, seq DESC LIMIT 1) AS waiting_end";

/// The same for a job that waits for its pictures, in the one order of fetching for all queues.
const PLACE_AWAITING: &str = "SELECT \
     (SELECT MAX(GREATEST(virtual_time, (SELECT due FROM jobs \
         WHERE jobs.engine_model = queue_times.engine_model AND started_at IS NOT NULL ORDER BY due DESC LIMIT 1))) \
      FROM queue_times) AS virtual_time, \
     (SELECT MAX(finish) FROM ( \
         (SELECT claimed_end AS finish FROM turns WHERE key_id = $1 AND priority = $2) UNION ALL \
         (SELECT (SELECT due + work + $3 FROM jobs WHERE key_id = $1 AND priority = $2 \
          AND jobs.engine_model = queue_times.engine_model AND started_at IS NOT NULL \
          ORDER BY due + work DESC LIMIT 1) FROM queue_times) \
     ) AS ends) AS claimed_end, \
     (SELECT due + work + $3 FROM jobs WHERE state = 'queued' AND key_id = $1 AND priority = $2 AND awaits_sources \
      ORDER BY due DESC, seq DESC LIMIT 1) AS waiting_end";

/// The place of a job that comes to wait in `queue` for a worker, and is not among those waiting yet.
pub(super) async fn place(session: &mut Session, queue: &Queue, key: &KeyId, priority: Priority) -> Result<Place> {
    read(session, place_of(PLACE, key, priority).bind(rows::queue_name(queue))).await
}

/// The same for a job that waits for its pictures.
pub(super) async fn place_awaiting(session: &mut Session, key: &KeyId, priority: Priority) -> Result<Place> {
    read(session, place_of(PLACE_AWAITING, key, priority)).await
}

fn place_of<'q>(statement: &'static str, key: &'q KeyId, priority: Priority) -> Statement<'q> {
    sqlx::query(statement).bind(key.as_str()).bind(priority_number(priority)).bind(order::head_start(priority))
}

async fn read(session: &mut Session, place: Statement<'_>) -> Result<Place> {
    let row = session.one(place).await?;
    Ok(Place {
        // A head start does not turn the time back to before its beginning.
        virtual_time: column::<Option<i64>>(&row, "virtual_time")?.unwrap_or_default().max(0),
        claimed_end: column(&row, "claimed_end")?,
        waiting_end: column(&row, "waiting_end")?,
    })
}

/// Keeps what claimed jobs made of the times, before they are forgotten.
pub(super) async fn keep(session: &mut Session, forgotten: &[PgRow]) -> Result<()> {
    for row in forgotten {
        let (queue, due) = (column::<String>(row, "engine_model")?, column::<i64>(row, "due")?);
        let time = sqlx::query(
            "INSERT INTO queue_times (engine_model, virtual_time) VALUES ($1, $2) ON CONFLICT (engine_model) \
             DO UPDATE SET virtual_time = excluded.virtual_time WHERE queue_times.virtual_time < excluded.virtual_time",
        );
        session.execute(time.bind(&queue).bind(due.max(0))).await?;
        let priority = column::<i64>(row, "priority")?;
        let turn = sqlx::query(
            "INSERT INTO turns (engine_model, key_id, priority, claimed_end) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (key_id, priority, engine_model) DO UPDATE SET claimed_end = excluded.claimed_end \
             WHERE turns.claimed_end < excluded.claimed_end",
        )
        .bind(&queue)
        .bind(column::<String>(row, "key_id")?)
        .bind(priority)
        .bind(rows::chain_end(row, priority_numbered(priority))?);
        session.execute(turn).await?;
    }
    Ok(())
}
