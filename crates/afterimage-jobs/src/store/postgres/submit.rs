//! New jobs.

use super::database::Database;
use super::session::Session;
use super::text::stored;
use super::turns;
use crate::spec_protocol;
use crate::store::order;
use crate::store::sql::rows::{self, column, milliseconds, priority_number, select_jobs, to_json};
use crate::{Error, Idempotency, Job, KeyId, NewJob, Result, Submitted, Timestamp};

/// Whether a key is good, whether the job is there already, and the time.
const FACTS: &str = "SELECT queue_now() AS now, \
     EXISTS (SELECT 1 FROM keys WHERE id = $1 AND revoked_at IS NULL) AS is_known, \
     EXISTS (SELECT 1 FROM jobs WHERE id = $2) OR EXISTS (SELECT 1 FROM jobs WHERE key_id = $1 \
         AND idempotency_key IS NOT NULL AND idempotency_key = $3) AS is_repeated";

/// One statement for the job, its payload and its queue's name. Nothing is returned when somebody else was first with the
/// id or the idempotency key.
const INSERT: &str = "WITH queue AS (INSERT INTO queue_times (engine_model, virtual_time) \
         SELECT $19, 0 WHERE NOT EXISTS (SELECT 1 FROM queue_times WHERE engine_model = $19) ON CONFLICT DO NOTHING), \
     new AS (INSERT INTO jobs (id, key_id, dialect, model, webhook_url, webhook_dialect, idempotency_key, \
         idempotency_fingerprint, priority, user_name, cost_micros, kept_for, start_by, due, state, created_at, \
         work, awaits_sources, input_bytes, engine_model, protocol) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'queued', $15, $16, $17, $18, $19, $22) \
     ON CONFLICT DO NOTHING RETURNING seq) \
     INSERT INTO job_inputs (seq, input, spec) SELECT seq, $20, $21 FROM new RETURNING seq";

/// Accepts a job, or finds the one that an earlier submit made.
pub(super) async fn submit(database: &Database, new: NewJob) -> Result<Submitted> {
    database
        .write(move |session| {
            let new = new.clone();
            Box::pin(async move { accept(session, &new).await })
        })
        .await
}

async fn accept(session: &mut Session, new: &NewJob) -> Result<Submitted> {
    let facts = sqlx::query(FACTS)
        .bind(new.key.as_str())
        .bind(new.id.as_str())
        .bind(new.idempotency.as_ref().map(|idempotency| stored(&idempotency.key)));
    let facts = session.one(facts).await?;
    if !column::<bool>(&facts, "is_known")? {
        return Err(Error::UnknownKey { key: new.key.clone() });
    }
    let now = Timestamp(column(&facts, "now")?);
    if !column::<bool>(&facts, "is_repeated")? {
        let place = if new.spec.awaits_sources() {
            turns::place_awaiting(session, &new.key, new.priority).await?
        } else {
            turns::place(session, &new.spec.request.model, &new.key, new.priority).await?
        };
        if insert(session, now, new, place.tag(new.priority)).await? {
            return Ok(Submitted::Created(Job::submitted(new, now)));
        }
    }
    existing(session, new).await.map(Submitted::Existing)
}

/// Refuses a key that is not there or was revoked.
pub(super) async fn check_key(session: &mut Session, key: &KeyId) -> Result<()> {
    let known = sqlx::query("SELECT 1 FROM keys WHERE id = $1 AND revoked_at IS NULL").bind(key.as_str());
    if session.optional(known).await?.is_none() {
        return Err(Error::UnknownKey { key: key.clone() });
    }
    Ok(())
}

async fn existing(session: &mut Session, new: &NewJob) -> Result<Job> {
    let same_id = sqlx::query(select_jobs!("WHERE jobs.id = $1")).bind(new.id.as_str());
    if let Some(row) = session.optional(same_id).await? {
        let job = rows::job(&row)?;
        // Only the sender of a random id can repeat it; for anybody else it is a clash.
        return if job.key == new.key { Ok(job) } else { Err(Error::IdempotencyConflict { job: job.id }) };
    }
    let repeated = match &new.idempotency {
        Some(idempotency) => repeated(session, new.key.clone(), idempotency.clone()).await?,
        None => None,
    };
    repeated.ok_or_else(|| Error::unavailable("database", "a job of the same name was removed meanwhile"))
}

/// The job that was made with this idempotency key.
pub(super) async fn repeated(
    session: &mut Session,
    api_key: KeyId,
    Idempotency { key, fingerprint }: Idempotency,
) -> Result<Option<Job>> {
    let same_key = sqlx::query(select_jobs!("WHERE jobs.key_id = $1 AND jobs.idempotency_key = $2"));
    let row = session.optional(same_key.bind(api_key.as_str()).bind(stored(&key))).await?;
    let Some(row) = row else { return Ok(None) };
    let job = rows::job(&row)?;
    if column::<Option<String>>(&row, "idempotency_fingerprint")? != Some(fingerprint) {
        return Err(Error::IdempotencyConflict { job: job.id });
    }
    Ok(Some(job))
}

/// Whether the row is there now; otherwise somebody else's is.
async fn insert(session: &mut Session, now: Timestamp, new: &NewJob, tag: i64) -> Result<bool> {
    let webhook = new.webhook.as_ref();
    let idempotency = new.idempotency.as_ref();
    let insert = sqlx::query(INSERT)
        .bind(new.id.as_str())
        .bind(new.key.as_str())
        .bind(&new.dialect)
        .bind(stored(&new.model))
        .bind(webhook.map(|webhook| stored(&webhook.url)))
        .bind(webhook.map(|webhook| webhook.dialect.as_str()))
        .bind(idempotency.map(|idempotency| stored(&idempotency.key)))
        .bind(idempotency.map(|idempotency| stored(&idempotency.fingerprint)))
        .bind(priority_number(new.priority))
        .bind(new.user.as_deref().map(stored))
        .bind(new.cost_micros)
        .bind(new.kept_for.map(milliseconds))
        .bind(new.start_within.map(|limit| now.plus(limit).0))
        .bind(tag)
        .bind(now.0)
        .bind(order::work(&new.spec.request))
        .bind(new.spec.awaits_sources())
        .bind(i64::try_from(new.input_bytes).unwrap_or(i64::MAX))
        .bind(rows::queue_name(&new.spec.request.model))
        .bind(stored(&to_json(&new.input)?).into_owned())
        .bind(stored(&to_json(&new.spec)?).into_owned())
        .bind(spec_protocol::needed_by(&new.spec));
    Ok(session.optional(insert).await?.is_some())
}
