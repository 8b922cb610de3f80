//! What hosts tell each other through the database: news, and which processes there are.

use super::PostgresStore;
use super::primary::refuse_replica;
use crate::progress::JobProgress;
use crate::store::sql::rows::{self, column};
use crate::{Error, JobId, JobState, Result, Timestamp};
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

    /// Those of `jobs` that there are.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn look_at(&self, jobs: &[JobId]) -> Result<Vec<SeenJob>> {
        let ids: Vec<String> = jobs.iter().map(|id| id.as_str().to_owned()).collect();
        let query = "SELECT id, state, attempt, cancel_requested, stage, step, steps FROM jobs WHERE id = ANY ($1)";
        let rows = self.database.read(|session| Box::pin(session.all(sqlx::query(query).bind(ids.clone())))).await?;
        rows.iter().map(seen).collect()
    }

    /// Shows that the process `id` is there, and says `facts` (JSON) of it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn announce(&self, id: &str, facts: String) -> Result<()> {
        let id = id.to_owned();
        self.database
            .write_statement(move |session| {
                let (id, facts) = (id.clone(), facts.clone());
                Box::pin(async move {
                    let query = sqlx::query(
                        "INSERT INTO processes (id, facts, seen_at) VALUES ($1, $2, queue_now()) \
                         ON CONFLICT (id) DO UPDATE SET facts = excluded.facts, seen_at = excluded.seen_at",
                    );
                    session.execute(query.bind(id).bind(facts)).await?;
                    Ok(())
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

    /// Takes the process `id` off the list.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn withdraw(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
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
    })
}
