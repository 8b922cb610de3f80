//! Moves what a single-machine server kept in SQLite into PostgreSQL.
//!
//! Rows keep their ids, so whatever was moved before an interruption is found and left as it is. Sums that no row is left
//! to tell of are taken over once, with a note of it.

use super::PostgresStore;
use super::session::Session;
use super::text::stored;
use crate::spec_protocol;
use crate::store::sql::StoredRow;
use crate::store::sql::rows::column;
use crate::{Error, JobSpec, Result, SettingsStore, SqliteStore};
use sqlx::sqlite::SqliteRow;

/// What was moved, by kind; a second run tells what was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Keys, revoked ones included.
    pub keys: u64,
    /// Jobs, ended and waiting.
    pub jobs: u64,
    /// Webhooks, sent and open.
    pub deliveries: u64,
    /// Uploads.
    pub uploads: u64,
}

/// Rows that one transaction moves.
const BATCH: i64 = 200;

/// A column's type.
#[derive(Clone, Copy)]
enum ColumnKind {
    Text,
    Number,
    Flag,
}

use ColumnKind::{Flag, Number, Text};

/// Columns of the same name in both databases.
type Columns = &'static [(&'static str, ColumnKind)];

const KEYS: Columns = &[
    ("id", Text),
    ("name", Text),
    ("concurrency", Number),
    ("secret_sha256", Text),
    ("created_at", Number),
    ("revoked_at", Number),
];

const KEY_ROLES: Columns = &[("key_id", Text), ("role", Text)];

const JOBS: Columns = &[
    ("id", Text),
    ("key_id", Text),
    ("dialect", Text),
    ("model", Text),
    ("engine_model", Text),
    ("webhook_url", Text),
    ("webhook_dialect", Text),
    ("idempotency_key", Text),
    ("idempotency_fingerprint", Text),
    ("priority", Number),
    ("user_name", Text),
    ("cost_micros", Number),
    ("kept_for", Number),
    ("start_by", Number),
    ("due", Number),
    ("work", Number),
    ("ready_at", Number),
    ("awaits_sources", Flag),
    ("fetches", Number),
    ("state", Text),
    ("attempt", Number),
    ("retries", Number),
    ("unclean_ends", Number),
    ("cancel_requested", Flag),
    ("quarantined", Flag),
    ("created_at", Number),
    ("started_at", Number),
    ("finished_at", Number),
    ("failure_kind", Text),
    ("failure_field", Text),
    ("failure_message", Text),
    ("input_bytes", Number),
    ("result_bytes", Number),
    ("deleted", Flag),
    ("swept", Flag),
];

const DELIVERIES: Columns = &[
    ("key_id", Text),
    ("url", Text),
    ("dialect", Text),
    ("created_at", Number),
    ("attempts", Number),
    ("failures", Number),
    ("postponed", Flag),
    ("next_at", Number),
    ("finished_at", Number),
    ("given_up", Flag),
    ("last_error", Text),
];

const UPLOADS: Columns = &[
    ("id", Text),
    ("key_id", Text),
    ("filename", Text),
    ("declared_type", Text),
    ("created_at", Number),
    ("blob", Text),
    ("content_type", Text),
    ("bytes", Number),
    ("width", Number),
    ("height", Number),
    ("kept_for", Number),
    ("expired", Flag),
];

/// A value on its way.
#[derive(Clone)]
enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Flag(bool),
}

impl PostgresStore {
    /// Moves everything from `source` here. No server may work on it meanwhile; jobs that ran there wait again. What is here
    /// already stays, so the call can be repeated after an interruption.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Occupied`] when servers have used this database for something else.
    pub async fn import(&self, source: &SqliteStore) -> Result<Imported> {
        self.adopt_settings(source).await?;
        let mut imported = Imported::default();
        let keys = source.rows_of("SELECT * FROM keys ORDER BY created_at, id", 0, i64::MAX).await?;
        imported.keys = self.insert_all("keys", KEYS, &keys).await?;
        let roles = source.rows_of("SELECT * FROM key_roles ORDER BY key_id", 0, i64::MAX).await?;
        self.insert_all("key_roles", KEY_ROLES, &roles).await?;
        let mut after = 0;
        loop {
            let jobs = source.rows_of(SqliteStore::JOBS_TO_MOVE, after, BATCH).await?;
            let Some(last) = jobs.last() else { break };
            after = column(last, "seq")?;
            for job in &jobs {
                let moved = self.move_job(source, job).await?;
                imported.jobs += moved.jobs;
                imported.deliveries += moved.deliveries;
            }
        }
        let uploads = source.rows_of("SELECT * FROM uploads ORDER BY created_at, id", 0, i64::MAX).await?;
        imported.uploads = self.insert_all("uploads", UPLOADS, &uploads).await?;
        self.adopt_sums(source).await?;
        Ok(imported)
    }

    /// Secret and id of the old database become those of this one: links stay good, and files stay its own.
    async fn adopt_settings(&self, source: &SqliteStore) -> Result<()> {
        let (secret, id) = (hex::encode(source.server_secret().await?), source.database_id().await?);
        for (name, value) in [("server_secret", secret), ("database_id", id)] {
            let kept = self.keep_first(name, value.clone()).await?;
            if kept != value {
                return Err(Error::Occupied);
            }
        }
        Ok(())
    }

    async fn insert_all(&self, table: &'static str, columns: Columns, rows: &[SqliteRow]) -> Result<u64> {
        let mut inserted = 0;
        for batch in rows.chunks(BATCH as usize) {
            let values: Vec<Vec<Value>> = batch.iter().map(|row| read(row, columns)).collect::<Result<_>>()?;
            inserted += self
                .database
                .write(move |session| {
                    let values = values.clone();
                    Box::pin(async move {
                        let mut inserted = 0;
                        for row in values {
                            inserted += u64::from(insert(session, table, columns, row, &[]).await?.is_some());
                        }
                        Ok(inserted)
                    })
                })
                .await?;
        }
        Ok(inserted)
    }

    /// A job with its payload and webhooks, in one transaction.
    async fn move_job(&self, source: &SqliteStore, row: &SqliteRow) -> Result<Imported> {
        let seq = column(row, "seq")?;
        let job = read(row, JOBS)?;
        let queue: String = column(row, "engine_model")?;
        let payloads: Vec<(&'static str, Option<String>)> =
            vec![("input", row.text("input")?), ("spec", row.text("spec")?), ("result", row.text("result")?)];
        let deliveries =
            source.rows_of("SELECT * FROM deliveries WHERE job_seq = ?1 ORDER BY id", seq, i64::MAX).await?;
        let deliveries: Vec<Vec<Value>> = deliveries.iter().map(|row| read(row, DELIVERIES)).collect::<Result<_>>()?;
        self.database
            .write(move |session| {
                let (job, payloads, deliveries) = (job.clone(), payloads.clone(), deliveries.clone());
                let queue = queue.clone();
                Box::pin(async move { insert_job(session, queue, job, payloads, deliveries).await })
            })
            .await
    }

    /// Sums that outlive their rows: what keys spent and had made, how jobs ended, where queues stand. Once.
    async fn adopt_sums(&self, source: &SqliteStore) -> Result<()> {
        let mut statements: Vec<(&'static str, Vec<Value>)> = Vec::new();
        let all = [
            (
                "SELECT * FROM spending",
                "INSERT INTO spending (key_id, user_name, jobs, cost_micros) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (key_id, user_name) DO UPDATE SET jobs = spending.jobs + excluded.jobs, \
                 cost_micros = spending.cost_micros + excluded.cost_micros",
                &[("key_id", Text), ("user_name", Text), ("jobs", Number), ("cost_micros", Number)] as Columns,
            ),
            (
                "SELECT * FROM job_ends",
                "INSERT INTO job_ends (state, jobs) VALUES ($1, $2) \
                 ON CONFLICT (state) DO UPDATE SET jobs = job_ends.jobs + excluded.jobs",
                &[("state", Text), ("jobs", Number)],
            ),
            (
                "SELECT * FROM usage_days",
                "INSERT INTO usage_journal (day, key_id, jobs, pictures, failures, cost_micros) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
                &[
                    ("day", Number),
                    ("key_id", Text),
                    ("jobs", Number),
                    ("pictures", Number),
                    ("failures", Number),
                    ("cost_micros", Number),
                ],
            ),
            (
                "SELECT * FROM queue_times",
                "INSERT INTO queue_times (engine_model, virtual_time) VALUES ($1, $2) ON CONFLICT (engine_model) \
                 DO UPDATE SET virtual_time = GREATEST(queue_times.virtual_time, excluded.virtual_time)",
                &[("engine_model", Text), ("virtual_time", Number)],
            ),
            (
                "SELECT * FROM turns",
                "INSERT INTO turns (engine_model, key_id, priority, claimed_end) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT DO NOTHING",
                &[("engine_model", Text), ("key_id", Text), ("priority", Number), ("claimed_end", Number)],
            ),
        ];
        for (select, insert, columns) in all {
            for row in &source.rows_of(select, 0, i64::MAX).await? {
                statements.push((insert, read(row, columns)?));
            }
        }
        self.database
            .write(move |session| {
                let statements = statements.clone();
                Box::pin(async move {
                    let note =
                        "INSERT INTO settings (name, value) VALUES ('imported sums', '1') ON CONFLICT DO NOTHING";
                    if session.execute(sqlx::query(note)).await? == 0 {
                        return Ok(());
                    }
                    for (statement, values) in statements {
                        session.execute(bound(sqlx::query(statement), values)).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

async fn insert_job(
    session: &mut Session,
    queue: String,
    job: Vec<Value>,
    payloads: Vec<(&'static str, Option<String>)>,
    deliveries: Vec<Vec<Value>>,
) -> Result<Imported> {
    let introduce = "INSERT INTO queue_times (engine_model, virtual_time) VALUES ($1, 0) ON CONFLICT DO NOTHING";
    session.execute(sqlx::query(introduce).bind(stored(&queue))).await?;
    let spec = payloads.iter().find(|(name, _)| *name == "spec").and_then(|(_, spec)| spec.as_deref());
    // What cannot be read is for whoever comes first, who ends it.
    let needed = spec
        .and_then(|spec| serde_json::from_str::<JobSpec>(spec).ok())
        .map_or(1, |spec| spec_protocol::needed_by(&spec));
    let protocol = [("protocol", Value::Number(Some(needed)))];
    let Some(seq) = insert(session, "jobs", JOBS, job, &protocol).await? else { return Ok(Imported::default()) };
    if let [(_, Some(input)), (_, Some(spec)), (_, result)] = payloads.as_slice() {
        let query = sqlx::query("INSERT INTO job_inputs (seq, input, spec) VALUES ($1, $2, $3)");
        session.execute(query.bind(seq).bind(stored(input)).bind(stored(spec))).await?;
        if let Some(result) = result {
            let query = sqlx::query("INSERT INTO job_results (seq, result) VALUES ($1, $2)");
            session.execute(query.bind(seq).bind(stored(result))).await?;
        }
    }
    let mut imported = Imported { jobs: 1, ..Imported::default() };
    for delivery in deliveries {
        let job_seq = [("job_seq", Value::Number(Some(seq)))];
        imported.deliveries +=
            u64::from(insert(session, "deliveries", DELIVERIES, delivery, &job_seq).await?.is_some());
    }
    Ok(imported)
}

/// Inserts a row unless it is there; its number in tables that have one, else 0.
async fn insert(
    session: &mut Session,
    table: &'static str,
    columns: Columns,
    mut values: Vec<Value>,
    more: &[(&'static str, Value)],
) -> Result<Option<i64>> {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).chain(more.iter().map(|(name, _)| *name)).collect();
    values.extend(more.iter().map(|(_, value)| value.clone()));
    let places: Vec<String> = (1..=values.len()).map(|number| format!("${number}")).collect();
    let number = if table == "jobs" { "seq" } else { "0::BIGINT AS seq" };
    // Made of this file's own names.
    let text = sqlx::AssertSqlSafe(format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT DO NOTHING RETURNING {number}",
        names.join(", "),
        places.join(", ")
    ));
    let row = session.optional(bound(sqlx::query(text), values)).await?;
    row.map(|row| column(&row, "seq")).transpose()
}

fn bound(mut query: super::session::Statement<'_>, values: Vec<Value>) -> super::session::Statement<'_> {
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text.map(|text| stored(&text).into_owned())),
            Value::Number(number) => query.bind(number),
            Value::Flag(flag) => query.bind(flag),
        };
    }
    query
}

fn read(row: &SqliteRow, columns: Columns) -> Result<Vec<Value>> {
    let values = columns.iter().map(|(name, kind)| {
        Ok(match kind {
            Text => Value::Text(row.text(name)?),
            Number => Value::Number(row.number(name)?),
            Flag => Value::Flag(row.flag(name)?),
        })
    });
    values.collect()
}
