//! [`Outbox`] in SQLite. `attempts` is the fencing token: whoever took a delivery later has a higher one.

use super::rows::column;
use super::{SqliteStore, unavailable};
use crate::{Delivery, Fenced, NextTry, Outbox, Result, Timestamp};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

#[async_trait]
impl Outbox for SqliteStore {
    async fn due_deliveries(&self, limit: u32, lease: Duration) -> Result<Vec<Delivery>> {
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    let rows = sqlx::query(
                        "UPDATE deliveries SET attempts = attempts + 1, next_at = ?1 WHERE id IN \
                         (SELECT id FROM deliveries WHERE finished_at IS NULL AND next_at <= ?2 \
                         ORDER BY next_at, id LIMIT ?3) \
                         RETURNING *, (SELECT jobs.id FROM jobs WHERE jobs.seq = job_seq) AS job_id",
                    )
                    .bind(now.plus(lease).0)
                    .bind(now.0)
                    .bind(limit)
                    .fetch_all(connection)
                    .await
                    .map_err(unavailable)?;
                    let mut due = rows.iter().map(delivery).collect::<Result<Vec<_>>>()?;
                    due.sort_by_key(|delivery| delivery.id);
                    Ok(due)
                })
            })
            .await
    }

    async fn delivered(&self, id: i64, attempt: u32) -> Result<Fenced> {
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    let query = sqlx::query(
                        "UPDATE deliveries SET finished_at = ?1, last_error = NULL \
                         WHERE id = ?2 AND attempts = ?3 AND finished_at IS NULL",
                    );
                    let changed = query.bind(now.0).bind(id).bind(attempt).execute(connection).await;
                    Ok(fenced(changed.map_err(unavailable)?.rows_affected()))
                })
            })
            .await
    }

    async fn delivery_failed(&self, id: i64, attempt: u32, next: NextTry, error: &str) -> Result<Fenced> {
        let error = error.to_owned();
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    let (next_at, finished_at) = match next {
                        NextTry::After(delay) => (now.plus(delay).0, None),
                        NextTry::GiveUp => (now.0, Some(now.0)),
                    };
                    let changed = sqlx::query(
                        "UPDATE deliveries SET next_at = ?1, finished_at = ?2, given_up = ?3, last_error = ?4 \
                         WHERE id = ?5 AND attempts = ?6 AND finished_at IS NULL",
                    )
                    .bind(next_at)
                    .bind(finished_at)
                    .bind(finished_at.is_some())
                    .bind(error)
                    .bind(id)
                    .bind(attempt)
                    .execute(connection)
                    .await
                    .map_err(unavailable)?;
                    Ok(fenced(changed.rows_affected()))
                })
            })
            .await
    }

    async fn open_deliveries(&self) -> Result<u64> {
        let query = sqlx::query("SELECT COUNT(*) AS open FROM deliveries WHERE finished_at IS NULL");
        let row = query.fetch_one(&self.readers).await.map_err(unavailable)?;
        Ok(column::<i64>(&row, "open")?.unsigned_abs())
    }
}

const fn fenced(rows: u64) -> Fenced {
    if rows == 1 { Fenced::Done } else { Fenced::Lost }
}

fn delivery(row: &SqliteRow) -> Result<Delivery> {
    Ok(Delivery {
        id: column(row, "id")?,
        job: column::<String>(row, "job_id")?.into(),
        url: column(row, "url")?,
        dialect: column(row, "dialect")?,
        attempt: column(row, "attempts")?,
        created_at: Timestamp(column(row, "created_at")?),
    })
}
