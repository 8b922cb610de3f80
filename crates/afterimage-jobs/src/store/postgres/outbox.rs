//! [`Outbox`] in PostgreSQL. `attempts` is the fencing token: whoever took a delivery later has a higher one.
//!
//! Keys with something due are found by skipping from key to key along an index, as claims do, and of each only as much
//! is read as it may take. What another sender has just in hand is passed over.

use super::PostgresStore;
use super::session::Session;
use super::text::stored;
use crate::store::outbox::{DueOfKey, in_turn, take_turns};
use crate::store::sql::rows::{column, delivery, milliseconds, time};
use crate::{Delivery, Fenced, KeyId, NextTry, Outbox, Places, Result, Timestamp};
use async_trait::async_trait;
use std::time::Duration;

/// The time, and whether anything is due at all, which mostly it is not.
const ANY_DUE: &str = "SELECT queue_now() AS now FROM deliveries WHERE finished_at IS NULL AND next_at <= queue_now() \
     LIMIT 1";

/// Keys with open deliveries, and when their first ones are due.
const KEYS: &str = "WITH RECURSIVE open_keys (key_id) AS ( \
     (SELECT key_id FROM deliveries WHERE finished_at IS NULL ORDER BY key_id LIMIT 1) \
     UNION ALL \
     SELECT (SELECT deliveries.key_id FROM deliveries \
             WHERE deliveries.finished_at IS NULL AND deliveries.key_id > open_keys.key_id \
             ORDER BY deliveries.key_id LIMIT 1) \
     FROM open_keys WHERE open_keys.key_id IS NOT NULL) \
     SELECT key_id, \
     (SELECT next_at FROM deliveries WHERE finished_at IS NULL AND deliveries.key_id = open_keys.key_id \
      AND postponed = TRUE ORDER BY next_at LIMIT 1) AS postponed_at, \
     (SELECT next_at FROM deliveries WHERE finished_at IS NULL AND deliveries.key_id = open_keys.key_id \
      AND postponed = FALSE ORDER BY next_at LIMIT 1) AS next_at \
     FROM open_keys WHERE key_id IS NOT NULL";

/// What is due of a key.
const OF_KEY: &str = "SELECT id FROM deliveries WHERE finished_at IS NULL AND key_id = $1 AND postponed = $2 \
     AND next_at <= $3 ORDER BY next_at, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED";

const TAKE: &str = "UPDATE deliveries SET attempts = attempts + 1, next_at = $1 WHERE id = $2 \
     RETURNING *, (SELECT jobs.id FROM jobs WHERE jobs.seq = job_seq) AS job_id";

#[async_trait]
impl Outbox for PostgresStore {
    async fn due_deliveries(&self, limit: u32, places: &Places, lease: Duration) -> Result<Vec<Delivery>> {
        // Asked beside the transaction that would take them: senders look often, and mostly in vain.
        if !self.keeps_house_at_each_call {
            let any = self.database.read(|session| Box::pin(session.optional(sqlx::query(ANY_DUE)))).await?;
            if any.is_none() {
                return Ok(Vec::new());
            }
        }
        let places = places.clone();
        self.database
            .write(move |session| {
                let places = places.clone();
                Box::pin(async move { due_deliveries(session, limit, &places, lease).await })
            })
            .await
    }

    async fn delivered(&self, id: i64, attempt: u32) -> Result<Fenced> {
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let query = sqlx::query(
                        "UPDATE deliveries SET finished_at = queue_now(), last_error = NULL \
                         WHERE id = $1 AND attempts = $2 AND finished_at IS NULL",
                    );
                    session.execute(query.bind(id).bind(i64::from(attempt))).await.map(fenced)
                })
            })
            .await
    }

    async fn delivery_failed(&self, id: i64, attempt: u32, next: NextTry, error: &str) -> Result<Fenced> {
        let error = error.to_owned();
        self.database
            .write(move |session| {
                let error = error.clone();
                Box::pin(async move { failed(session, id, attempt, next, error).await })
            })
            .await
    }

    async fn open_deliveries(&self) -> Result<u64> {
        let count = "SELECT COUNT(*) AS open FROM deliveries WHERE finished_at IS NULL";
        let row = self.database.read(|session| Box::pin(session.one(sqlx::query(count)))).await?;
        Ok(column::<i64>(&row, "open")?.unsigned_abs())
    }
}

async fn failed(session: &mut Session, id: i64, attempt: u32, next: NextTry, error: String) -> Result<Fenced> {
    let (delay, is_last) = match next {
        NextTry::After(delay) | NextTry::Postponed(delay) => (milliseconds(delay), false),
        NextTry::GiveUp => (0, true),
    };
    let postponed = matches!(next, NextTry::Postponed(_));
    let update = sqlx::query(
        "UPDATE deliveries SET next_at = queue_now() + $1, finished_at = CASE WHEN $2 THEN queue_now() END, \
         given_up = $2, last_error = $3, postponed = $4, failures = failures + $5 \
         WHERE id = $6 AND attempts = $7 AND finished_at IS NULL",
    )
    .bind(delay)
    .bind(is_last)
    .bind(stored(&error))
    .bind(postponed)
    .bind(i64::from(!postponed))
    .bind(id)
    .bind(i64::from(attempt));
    session.execute(update).await.map(fenced)
}

async fn due_deliveries(session: &mut Session, limit: u32, places: &Places, lease: Duration) -> Result<Vec<Delivery>> {
    let Some(any) = session.optional(sqlx::query(ANY_DUE)).await? else { return Ok(Vec::new()) };
    let now = Timestamp(column(&any, "now")?);
    let mut due = Vec::new();
    for row in &session.all(sqlx::query(KEYS)).await? {
        let since = [time(row, "postponed_at")?, time(row, "next_at")?].into_iter().flatten().min();
        let Some(since) = since.filter(|since| *since <= now) else { continue };
        due.push(DueOfKey { key: KeyId::from(column::<String>(row, "key_id")?), since, queue: Vec::new() });
    }
    in_turn(&mut due, places);
    // One of each key is the least that a turn takes.
    due.truncate(limit as usize);
    for of in &mut due {
        let share = places.free().saturating_sub(places.held(&of.key));
        of.queue = due_of_key(session, now, &of.key, limit.min(share)).await?;
    }
    let mut taken = Vec::new();
    for id in take_turns(due, limit, places) {
        let take = sqlx::query(TAKE).bind(now.plus(lease).0).bind(id);
        taken.push(delivery(&session.one(take).await?)?);
    }
    Ok(taken)
}

/// The first of what is due of a key: what was postponed, then the rest.
async fn due_of_key(session: &mut Session, now: Timestamp, key: &KeyId, most: u32) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    for postponed in [true, false] {
        let left = i64::from(most) - ids.len() as i64;
        let query = sqlx::query(OF_KEY).bind(key.as_str()).bind(postponed).bind(now.0).bind(left);
        for row in &session.all(query).await? {
            ids.push(column(row, "id")?);
        }
    }
    Ok(ids)
}

const fn fenced(rows: u64) -> Fenced {
    if rows == 1 { Fenced::Done } else { Fenced::Lost }
}
