//! [`Outbox`] in SQLite. `attempts` is the fencing token: whoever took a delivery later has a higher one.
//!
//! Keys with something due are found by skipping from key to key along an index, as claims do, and of each only as much
//! is read as it may take. None of it depends on how much waits.

use super::rows::{column, delivery, time};
use super::{SqliteStore, unavailable};
use crate::store::outbox::{DueOfKey, in_turn, take_turns};
use crate::{Delivery, Fenced, KeyId, NextTry, Outbox, Places, Result, Timestamp};
use async_trait::async_trait;
use sqlx::SqliteConnection;
use std::time::Duration;

/// Whether anything is due at all, which mostly it is not.
const ANY_DUE: &str = "SELECT id FROM deliveries WHERE finished_at IS NULL AND next_at <= ?1 LIMIT 1";

/// Keys with open deliveries, and when their first ones are due.
const KEYS: &str = "WITH RECURSIVE open_keys (key_id) AS ( \
     SELECT MIN(key_id) FROM deliveries WHERE finished_at IS NULL \
     UNION ALL \
     SELECT (SELECT MIN(deliveries.key_id) FROM deliveries \
             WHERE deliveries.finished_at IS NULL AND deliveries.key_id > open_keys.key_id) \
     FROM open_keys WHERE open_keys.key_id IS NOT NULL) \
     SELECT key_id, \
     (SELECT MIN(next_at) FROM deliveries WHERE finished_at IS NULL AND deliveries.key_id = open_keys.key_id \
      AND postponed = TRUE) AS postponed_at, \
     (SELECT MIN(next_at) FROM deliveries WHERE finished_at IS NULL AND deliveries.key_id = open_keys.key_id \
      AND postponed = FALSE) AS next_at \
     FROM open_keys WHERE key_id IS NOT NULL";

/// What is due of a key.
const OF_KEY: &str = "SELECT id FROM deliveries WHERE finished_at IS NULL AND key_id = ?1 AND postponed = ?2 \
     AND next_at <= ?3 ORDER BY next_at, id LIMIT ?4";

const TAKE: &str = "UPDATE deliveries SET attempts = attempts + 1, next_at = ?1 WHERE id = ?2 \
     RETURNING *, (SELECT jobs.id FROM jobs WHERE jobs.seq = job_seq) AS job_id";

#[async_trait]
impl Outbox for SqliteStore {
    async fn due_deliveries(&self, limit: u32, places: &Places, lease: Duration) -> Result<Vec<Delivery>> {
        let places = places.clone();
        self.writer
            .write(move |connection, now| {
                Box::pin(async move { due_deliveries(connection, now, limit, &places, lease).await })
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
                        NextTry::After(delay) | NextTry::Postponed(delay) => (now.plus(delay).0, None),
                        NextTry::GiveUp => (now.0, Some(now.0)),
                    };
                    let postponed = matches!(next, NextTry::Postponed(_));
                    let changed = sqlx::query(
                        "UPDATE deliveries SET next_at = ?1, finished_at = ?2, given_up = ?3, last_error = ?4, \
                         postponed = ?5, failures = failures + ?6 \
                         WHERE id = ?7 AND attempts = ?8 AND finished_at IS NULL",
                    )
                    .bind(next_at)
                    .bind(finished_at)
                    .bind(finished_at.is_some())
                    .bind(error)
                    .bind(postponed)
                    .bind(i64::from(!postponed))
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

async fn due_deliveries(
    connection: &mut SqliteConnection,
    now: Timestamp,
    limit: u32,
    places: &Places,
    lease: Duration,
) -> Result<Vec<Delivery>> {
    let any = sqlx::query(ANY_DUE).bind(now.0).fetch_optional(&mut *connection).await.map_err(unavailable)?;
    if any.is_none() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(KEYS).fetch_all(&mut *connection).await.map_err(unavailable)?;
    let mut due = Vec::new();
    for row in &rows {
        let since = [time(row, "postponed_at")?, time(row, "next_at")?].into_iter().flatten().min();
        let Some(since) = since.filter(|since| *since <= now) else { continue };
        due.push(DueOfKey { key: KeyId::from(column::<String>(row, "key_id")?), since, queue: Vec::new() });
    }
    in_turn(&mut due, places);
    // One of each key is the least that a turn takes.
    due.truncate(limit as usize);
    for of in &mut due {
        let share = places.free().saturating_sub(places.held(&of.key));
        of.queue = due_of_key(connection, now, &of.key, limit.min(share)).await?;
    }
    let mut taken = Vec::new();
    for id in take_turns(due, limit, places) {
        let take = sqlx::query(TAKE).bind(now.plus(lease).0).bind(id);
        taken.push(delivery(&take.fetch_one(&mut *connection).await.map_err(unavailable)?)?);
    }
    Ok(taken)
}

/// The first of what is due of a key: what was postponed, then the rest.
async fn due_of_key(connection: &mut SqliteConnection, now: Timestamp, key: &KeyId, most: u32) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    for postponed in [true, false] {
        let left = most.saturating_sub(ids.len() as u32);
        let query = sqlx::query(OF_KEY).bind(key.as_str()).bind(postponed).bind(now.0).bind(left);
        for row in &query.fetch_all(&mut *connection).await.map_err(unavailable)? {
            ids.push(column(row, "id")?);
        }
    }
    Ok(ids)
}

const fn fenced(rows: u64) -> Fenced {
    if rows == 1 { Fenced::Done } else { Fenced::Lost }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;
    use sqlx::AssertSqlSafe;
    use std::sync::Arc;

    #[tokio::test]
    async fn everything_is_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
        for statement in [ANY_DUE, KEYS, OF_KEY] {
            let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
            let rows = plan.fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| column(row, "detail").unwrap()).collect();
            let of_table = steps.iter().filter(|step| step.contains("deliveries"));
            for step in of_table {
                assert!(step.starts_with("SEARCH") && step.contains("INDEX"), "{statement}: {steps:?}");
            }
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{statement}: {steps:?}");
        }
    }
}
