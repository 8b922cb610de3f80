//! What hosts tell each other through the database: news, and which processes there are.

use super::PostgresStore;
use super::primary::refuse_replica;
use crate::progress::JobProgress;
use crate::store::sql::rows::{self, column};
use crate::{Error, JobId, JobState, ProcessId, Result, Timestamp};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgListener, PgPoolOptions, PgRow};
use std::time::Duration;
use tokio::time::timeout;

/// The channel of all news.
const CHANNEL: &str = "afterimage";

/// How long a host may take to be listened to.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// A process that has not been heard of for as long is gone.
const FORGET_PROCESSES_AFTER: Duration = Duration::from_mins(1);

/// A job of this process, or one that is watched here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenJob {
    /// Which.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// Which claim of it.
    pub attempt: u32,
    /// Whether somebody wants its end.
    pub cancel_requested: bool,
    /// How far it is, as of the last renewal of its lease.
    pub progress: JobProgress,
    /// Where it runs or ran last, if that process can be asked.
    pub place: Option<RunPlace>,
}

/// How the database is, beyond its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseHealth {
    /// Age of the oldest snapshot that somebody holds. Of other roles' sessions a role sees it only with `pg_read_all_stats`.
    pub oldest_snapshot: Option<Duration>,
    /// Rows of the table of jobs that died and are not removed yet, as the database estimates them.
    pub dead_rows: u64,
}

/// A process that runs jobs and tells other hosts how far they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunPlace {
    /// Which one.
    pub process: ProcessId,
    /// Host and port.
    pub address: String,
}

/// What a process learns when it shows that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The database's time.
    pub at: Timestamp,
    /// Whether there are processes that tell other hosts how far their jobs are.
    pub can_ask: bool,
}

impl PostgresStore {
    /// Says something to all processes that listen; at most 7,900 bytes.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; nobody has heard it then.
    pub async fn notify(&self, payload: String) -> Result<()> {
        self.database
            .write_statement(move |session| {
                let payload = payload.clone();
                Box::pin(async move {
                    session.execute(sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload)).await?;
                    Ok(())
                })
            })
            .await
    }

    /// Listens, on a connection of its own.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no host answers, or when there is a pooler and nobody named a way past it.
    pub async fn listen(&self) -> Result<PgListener> {
        let Some(address) = &self.direct else {
            return Err(Error::unavailable("database", "nobody can listen through a pooler"));
        };
        let mut last = Error::unavailable("database", "the address names no host");
        for host in address.hosts() {
            match timeout(CONNECT_WITHIN, connect(host.clone())).await {
                Ok(Ok(listener)) => return Ok(listener),
                Ok(Err(error)) => last = Error::unavailable("database", error),
                Err(_) => last = Error::unavailable("database", "it did not answer in time"),
            }
        }
        Err(last)
    }

    /// Name and port of the database's host that is used now; `None` for one that is reached by a socket's path.
    pub fn host(&self) -> Option<(String, u16)> {
        let host = self.database.host();
        host.get_socket().is_none().then(|| (host.get_host().to_owned(), host.get_port()))
    }

    /// Those of `jobs` that there are.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn look_at(&self, jobs: &[JobId]) -> Result<Vec<SeenJob>> {
        let ids: Vec<String> = jobs.iter().map(|id| id.as_str().to_owned()).collect();
        let query = "SELECT jobs.id, state, attempt, cancel_requested, stage, step, steps, processes.id AS process, \
                     internal_address FROM jobs LEFT JOIN processes \
                     ON processes.id = COALESCE(split_part(worker, '.', 1), ran_on) AND seen_at > queue_now() - $2 \
                     WHERE jobs.id = ANY ($1)";
        let age = rows::milliseconds(FORGET_PROCESSES_AFTER);
        let rows =
            self.database.read(|session| Box::pin(session.all(sqlx::query(query).bind(ids.clone()).bind(age)))).await?;
        rows.iter().map(seen).collect()
    }

    /// Shows that `process` is there, says `facts` (JSON) of it, and where other hosts can ask it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn announce(&self, process: &ProcessId, facts: String, address: Option<String>) -> Result<Announced> {
        let process = process.as_str().to_owned();
        self.database
            .write_statement(move |session| {
                let (process, facts, address) = (process.clone(), facts.clone(), address.clone());
                Box::pin(async move {
                    let query = sqlx::query(
                        "INSERT INTO processes (id, facts, internal_address, seen_at) VALUES ($1, $2, $3, queue_now()) \
                         ON CONFLICT (id) DO UPDATE SET facts = excluded.facts, \
                         internal_address = excluded.internal_address, seen_at = excluded.seen_at \
                         RETURNING seen_at, EXISTS (SELECT FROM processes others WHERE others.internal_address IS NOT NULL) \
                         AS can_ask",
                    );
                    let row = session.one(query.bind(process).bind(facts).bind(address)).await?;
                    Ok(Announced { at: Timestamp(column(&row, "seen_at")?), can_ask: column(&row, "can_ask")? })
                })
            })
            .await
    }

    /// What processes said of themselves, and when they were last there. Those that are gone are forgotten.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn processes(&self) -> Result<Vec<(String, Timestamp)>> {
        let age = rows::milliseconds(FORGET_PROCESSES_AFTER);
        let query = "SELECT facts, seen_at FROM processes WHERE seen_at > queue_now() - $1 ORDER BY id";
        let rows = self.database.read(|session| Box::pin(session.all(sqlx::query(query).bind(age)))).await?;
        rows.iter().map(|row| Ok((column(row, "facts")?, Timestamp(column(row, "seen_at")?)))).collect()
    }

    /// Jobs that all processes together can run at once that run one of `models`, as they last said.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn slots_of(&self, models: &[String]) -> Result<usize> {
        let (age, models) = (rows::milliseconds(FORGET_PROCESSES_AFTER), models.to_vec());
        let query = "SELECT COALESCE(SUM((facts::JSONB ->> 'slots')::BIGINT), 0)::BIGINT AS slots FROM processes \
                     WHERE seen_at > queue_now() - $1 AND facts::JSONB -> 'models' ?| $2";
        let row =
            self.database.read(|session| Box::pin(session.one(sqlx::query(query).bind(age).bind(models.clone()))));
        Ok(column::<i64>(&row.await?, "slots")?.max(0) as usize)
    }

    /// How the database is.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn health(&self) -> Result<DatabaseHealth> {
        let query = "SELECT (SELECT (EXTRACT(EPOCH FROM MAX(clock_timestamp() - xact_start)) * 1000)::BIGINT FROM pg_stat_activity \
                     WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()) AS age, \
                     COALESCE(pg_stat_get_dead_tuples('jobs'::REGCLASS), 0) AS dead";
        let row = self.database.read(|session| Box::pin(session.one(sqlx::query(query)))).await?;
        let dead_rows = column::<i64>(&row, "dead")?.unsigned_abs();
        Ok(DatabaseHealth { oldest_snapshot: rows::duration(&row, "age")?, dead_rows })
    }

    /// Takes `process` off the list.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn withdraw(&self, process: &ProcessId) -> Result<()> {
        let id = process.as_str().to_owned();
        let age = rows::milliseconds(FORGET_PROCESSES_AFTER);
        self.database
            .write_statement(move |session| {
                let id = id.clone();
                Box::pin(async move {
                    let query = sqlx::query("DELETE FROM processes WHERE id = $1 OR seen_at < queue_now() - $2");
                    session.execute(query.bind(id).bind(age)).await?;
                    Ok(())
                })
            })
            .await
    }
}

async fn connect(host: sqlx::postgres::PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    // A server that was demoted lets listen and stays silent. Asked apart from the pool, which would try again for long.
    refuse_replica(&mut host.connect().await?).await?;
    let pool =
        PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(3)).connect_with(host).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

fn seen(row: &PgRow) -> Result<SeenJob> {
    let stage = column::<Option<String>>(row, "stage")?;
    let step = column::<Option<u32>>(row, "step")?.zip(column::<Option<u32>>(row, "steps")?);
    Ok(SeenJob {
        id: JobId::from(column::<String>(row, "id")?),
        state: rows::named(column(row, "state")?)?,
        attempt: column(row, "attempt")?,
        cancel_requested: column(row, "cancel_requested")?,
        // A stage that only another version knows is none.
        progress: JobProgress { stage: stage.and_then(|name| rows::named(name).ok()), step },
        place: column::<Option<String>>(row, "process")?
            .zip(column::<Option<String>>(row, "internal_address")?)
            .map(|(process, address)| RunPlace { process: ProcessId::from(process), address }),
    })
}
