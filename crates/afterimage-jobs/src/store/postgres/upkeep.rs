//! [`Upkeep`] in PostgreSQL, and what is done once a second by whichever process comes first.

use super::session::Session;
use super::settings::{read, write};
use super::{PostgresStore, day_sums, transition};
use crate::store::sql::rows;
use crate::{JobId, Result, Timestamp, Upkeep};
use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;

const NOTED_TIME: &str = "noted_time";

/// The newest of the times that rows are made and ended.
const NEWEST_TIME: &str = "SELECT MAX(newest) AS newest FROM ( \
     SELECT MAX(created_at) AS newest FROM keys \
     UNION ALL (SELECT created_at FROM jobs ORDER BY seq DESC LIMIT 1) \
     UNION ALL SELECT MAX(finished_at) FROM jobs WHERE finished_at IS NOT NULL AND NOT deleted \
     UNION ALL SELECT MAX(created_at) FROM uploads WHERE NOT expired) AS times";

/// Until when somebody does something. A time far ahead is from a clock that was wrong.
const TURN: &str = "INSERT INTO settings (name, value) VALUES ($1, (queue_now() + $2)::TEXT) ON CONFLICT (name) \
     DO UPDATE SET value = excluded.value WHERE settings.value::BIGINT <= queue_now() \
     OR settings.value::BIGINT > queue_now() + 2 * $2";

/// Names the lock of what one process at a time does. Any number, but always this one.
const HOUSEKEEPING: &str = "SELECT pg_try_advisory_xact_lock(7204117320421) AS is_mine";

/// Delayed jobs stay out of the queue's indexes until their time has come, so that claims never walk past them.
const WAKE: &str = "UPDATE jobs SET ready_at = NULL WHERE seq IN (SELECT seq FROM jobs WHERE state = 'queued' \
     AND ready_at IS NOT NULL AND ready_at <= queue_now() ORDER BY seq LIMIT 10000 FOR NO KEY UPDATE SKIP LOCKED)";

/// Frees fetches whose lease ran out, or ends later than any was ever given: by a clock that was ahead. The fetcher of such a one begins
/// again if it is still there; nothing is counted.
const FREE: &str = "UPDATE jobs SET fetch_until = NULL WHERE seq IN (SELECT seq FROM jobs \
     WHERE fetch_until IS NOT NULL AND (fetch_until < queue_now() OR fetch_until > queue_now() + $1) \
     ORDER BY seq LIMIT 10000 FOR NO KEY UPDATE SKIP LOCKED)";

/// Longer than any lease of a fetch.
const NO_FETCH_LEASE: Duration = Duration::from_mins(1);

/// Adds up what the journal holds, as much as one transaction should.
const FOLD: &str = "WITH noted AS (DELETE FROM journal WHERE ctid = ANY (ARRAY(SELECT ctid FROM journal LIMIT 10000)) RETURNING *), \
     counts AS (INSERT INTO job_counts (key_id, model, state, jobs) \
         SELECT key_id, model, state, SUM(change) FROM ( \
             SELECT key_id, model, entered, 1 FROM noted WHERE entered IS NOT NULL UNION ALL \
             SELECT key_id, model, departed, -1 FROM noted WHERE departed IS NOT NULL) AS changes (key_id, model, state, change) \
         GROUP BY key_id, model, state HAVING SUM(change) <> 0 \
         ON CONFLICT (key_id, model, state) DO UPDATE SET jobs = job_counts.jobs + excluded.jobs), \
     ends AS (INSERT INTO job_ends (state, jobs) SELECT ended, COUNT(*) FROM noted WHERE ended IS NOT NULL GROUP BY ended \
         ON CONFLICT (state) DO UPDATE SET jobs = job_ends.jobs + excluded.jobs), \
     kept AS (INSERT INTO key_bytes (key_id, bytes) SELECT key_id, SUM(bytes) FROM noted GROUP BY key_id \
         HAVING SUM(bytes) <> 0 ON CONFLICT (key_id) DO UPDATE SET bytes = key_bytes.bytes + excluded.bytes) \
     INSERT INTO spending (key_id, user_name, jobs, cost_micros) \
     SELECT key_id, user_name, COUNT(*), SUM(cost_micros) FROM noted WHERE ended = 'succeeded' GROUP BY key_id, user_name \
     ON CONFLICT (key_id, user_name) DO UPDATE SET jobs = spending.jobs + excluded.jobs, \
         cost_micros = spending.cost_micros + excluded.cost_micros";

/// What the clock alone makes of jobs, and the sums: delayed jobs become due, jobs that nobody took in time fail, fetches that
/// are not heard of are freed. Returns the jobs that ended.
pub(super) async fn keep_house(session: &mut Session) -> Result<Vec<JobId>> {
    let failed = wake(session).await?;
    free_and_fold(session).await?;
    Ok(failed)
}

async fn free_and_fold(session: &mut Session) -> Result<()> {
    if !is_mine(session).await? {
        return Ok(());
    }
    session.plan_anew();
    session.execute(sqlx::query(FREE).bind(rows::milliseconds(NO_FETCH_LEASE))).await?;
    session.execute(sqlx::query(FOLD)).await?;
    day_sums::fold(session).await
}

async fn is_mine(session: &mut Session) -> Result<bool> {
    rows::column(&session.one(sqlx::query(HOUSEKEEPING)).await?, "is_mine")
}

/// The part of it that claims depend on.
pub(super) async fn wake(session: &mut Session) -> Result<Vec<JobId>> {
    if !is_mine(session).await? {
        return Ok(Vec::new());
    }
    let failed = transition::time_out_starts(session).await?;
    session.plan_anew();
    session.execute(sqlx::query(WAKE)).await?;
    Ok(failed)
}

impl PostgresStore {
    /// Does once what has to be done about once a second: delayed jobs become due, late ones fail, sums are added up.
    /// Of several processes that call it at once, one does it. Returns the jobs that ended.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn keep_house(&self) -> Result<Vec<JobId>> {
        // Each by itself: what takes long must not undo the rest.
        let failed = self.database.write(|session| Box::pin(wake(session))).await?;
        self.database.write(|session| Box::pin(free_and_fold(session))).await?;
        Ok(failed)
    }
}

#[async_trait]
impl Upkeep for PostgresStore {
    async fn check_writable(&self) -> Result<()> {
        self.database
            .write(|session| {
                Box::pin(async move {
                    // Rolled back: that it could be written is all there is to know. A name of its own, or processes that check
                    // at once would wait for each other, and all of them for one that vanished in the middle.
                    session.undo();
                    write(session, &format!("write check {}", Uuid::new_v4()), "").await
                })
            })
            .await
    }

    /// The server removes dead rows by itself, without being asked; its log is for its owner to keep or to remove.
    async fn forget_deleted(&self) -> Result<()> {
        Ok(())
    }

    async fn take_turn(&self, what: &'static str, pause: Duration) -> Result<bool> {
        let pause = rows::milliseconds(pause);
        self.database
            .write_statement(move |session| {
                Box::pin(async move {
                    let query = sqlx::query(TURN).bind(format!("turn: {what}")).bind(pause);
                    Ok(session.execute(query).await? == 1)
                })
            })
            .await
    }

    async fn noted_time(&self) -> Result<Option<Timestamp>> {
        let text = self.database.read(|session| Box::pin(read(session, NOTED_TIME))).await?;
        if let Some(noted) = text.and_then(|text| text.parse().ok()) {
            return Ok(Some(Timestamp(noted)));
        }
        let row = self.database.read(|session| Box::pin(session.one(sqlx::query(NEWEST_TIME)))).await?;
        rows::time(&row, "newest")
    }

    async fn note_time(&self, now: Timestamp) -> Result<()> {
        self.database
            .write(move |session| Box::pin(async move { write(session, NOTED_TIME, &now.to_string()).await }))
            .await
    }
}
