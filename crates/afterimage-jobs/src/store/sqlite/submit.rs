//! New jobs.

use super::rows::{self, column, milliseconds, priority_number, select_jobs, to_json};
use super::{turns, unavailable};
use crate::store::order;
use crate::{Error, Idempotency, Job, KeyId, NewJob, Result, Submitted, Timestamp};
use sqlx::{Row, SqliteConnection};

/// Accepts a job, or finds the one that an earlier submit made.
pub(super) async fn submit(connection: &mut SqliteConnection, now: Timestamp, new: &NewJob) -> Result<Submitted> {
    check_key(connection, &new.key).await?;
    if let Some(existing) = existing(connection, new).await? {
        return Ok(Submitted::Existing(existing));
    }
    let place = if new.spec.awaits_sources() {
        turns::place_awaiting(connection, &new.key, new.priority).await?
    } else {
        turns::place(connection, &new.spec.request.model, &new.key, new.priority).await?
    };
    let seq = insert(connection, now, new, place.tag(new.priority)).await?;
    sqlx::query("INSERT INTO job_inputs (seq, input, spec) VALUES (?1, ?2, ?3)")
        .bind(seq)
        .bind(to_json(&new.input)?)
        .bind(to_json(&new.spec)?)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    Ok(Submitted::Created(Job::submitted(new, now)))
}

/// Refuses a key that is not there or was revoked; a foreign key's error would not say which.
pub(super) async fn check_key(connection: &mut SqliteConnection, key: &KeyId) -> Result<()> {
    let known = sqlx::query("SELECT 1 FROM keys WHERE id = ?1 AND revoked_at IS NULL")
        .bind(key.as_str())
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    if known.is_none() {
        return Err(Error::UnknownKey { key: key.clone() });
    }
    Ok(())
}

async fn existing(connection: &mut SqliteConnection, new: &NewJob) -> Result<Option<Job>> {
    let same_id = sqlx::query(select_jobs!("WHERE jobs.id = ?1"))
        .bind(new.id.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable)?;
    if let Some(row) = same_id {
        let job = rows::job(&row)?;
        // Only the sender of a random id can repeat it; for anybody else it is a clash.
        return if job.key == new.key { Ok(Some(job)) } else { Err(Error::IdempotencyConflict { job: job.id }) };
    }
    match &new.idempotency {
        Some(idempotency) => repeated(connection, &new.key, idempotency).await,
        None => Ok(None),
    }
}

/// The job that was made with this idempotency key.
pub(super) async fn repeated(
    connection: &mut SqliteConnection,
    api_key: &KeyId,
    Idempotency { key, fingerprint }: &Idempotency,
) -> Result<Option<Job>> {
    let same_key = sqlx::query(select_jobs!("WHERE jobs.key_id = ?1 AND jobs.idempotency_key = ?2"))
        .bind(api_key.as_str())
        .bind(key)
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable)?;
    let Some(row) = same_key else { return Ok(None) };
    let job = rows::job(&row)?;
    if column::<Option<String>>(&row, "idempotency_fingerprint")?.as_ref() != Some(fingerprint) {
        return Err(Error::IdempotencyConflict { job: job.id });
    }
    Ok(Some(job))
}

async fn insert(connection: &mut SqliteConnection, now: Timestamp, new: &NewJob, tag: i64) -> Result<i64> {
    let webhook = new.webhook.as_ref();
    let idempotency = new.idempotency.as_ref();
    let row = sqlx::query(
        "INSERT INTO jobs (id, key_id, dialect, model, webhook_url, webhook_dialect, idempotency_key, \
         idempotency_fingerprint, priority, user_name, cost_micros, kept_for, start_by, due, state, created_at, \
         work, awaits_sources, input_bytes, engine_model) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'queued', ?15, ?16, ?17, ?18, ?19) \
         RETURNING seq",
    )
    .bind(new.id.as_str())
    .bind(new.key.as_str())
    .bind(&new.dialect)
    .bind(&new.model)
    .bind(webhook.map(|webhook| webhook.url.as_str()))
    .bind(webhook.map(|webhook| webhook.dialect.as_str()))
    .bind(idempotency.map(|idempotency| idempotency.key.as_str()))
    .bind(idempotency.map(|idempotency| idempotency.fingerprint.as_str()))
    .bind(priority_number(new.priority))
    .bind(new.user.as_deref())
    .bind(new.cost_micros)
    .bind(new.kept_for.map(milliseconds))
    .bind(new.start_within.map(|limit| now.plus(limit).0))
    .bind(tag)
    .bind(now.0)
    .bind(order::work(&new.spec.request))
    .bind(new.spec.awaits_sources())
    .bind(i64::try_from(new.input_bytes).unwrap_or(i64::MAX))
    .bind(rows::queue_name(&new.spec.request.model))
    .fetch_one(connection)
    .await
    .map_err(unavailable)?;
    row.try_get("seq").map_err(unavailable)
}
