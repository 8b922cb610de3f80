//! Transactions: where they run, how long they may take, and which of them are tried again.

use super::address::PostgresAddress;
use super::error::{Trouble, unavailable};
use super::primary::{Hosts, refuse_replica, writes};
use super::session::Session;
use crate::backoff::random_part;
use crate::{Clock, Error, Measures, Result};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long an operation may take, connecting included. A server that does not answer must not hold up whoever waits;
/// trying again is for the caller, who knows what for.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long to wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Tries of a transaction that others are in the way of.
const MOST_TRIES: u32 = 6;

/// Longest pause before a transaction that others were in the way of is tried again.
const LONGEST_STEP_ASIDE: Duration = Duration::from_millis(10);

/// Connections that were idle for longer are asked first whether their server still writes.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// How long that may take. One that does not answer is to a host that is gone, and so are the others.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// When a connection has not come about for so long, the other hosts are asked whether they take changes.
const LOOK_AROUND_AFTER: Duration = Duration::from_millis(250);

/// What an operation does in its transaction. It may be run several times; only the last one counts.
pub(super) type Step<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// The connections of a process. Clones share them.
#[derive(Clone)]
pub(super) struct Database {
    pool: PgPool,
    hosts: Arc<Hosts>,
    prepares: bool,
    /// Takes the place of the database's clock in tests.
    clock: Option<Arc<dyn Clock>>,
    trust: Arc<ConnectionTrust>,
    measures: Measures,
}

/// Which connections are too old to be used: those from before a server turned out not to write any more, or a table to be
/// another one.
struct ConnectionTrust {
    start: Instant,
    /// Milliseconds after `start`.
    distrusted_before: AtomicU64,
}

impl ConnectionTrust {
    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn distrust_all(&self) {
        self.distrusted_before.store(self.now(), Ordering::Relaxed);
    }

    fn allows(&self, age: Duration) -> bool {
        self.now().saturating_sub(age.as_millis() as u64) >= self.distrusted_before.load(Ordering::Relaxed)
    }
}

/// The part of the store that a call comes from: the name of its file.
fn part_of(caller: &'static Location<'static>) -> &'static str {
    let name = caller.file().rsplit(['/', '\\']).next().unwrap_or_default();
    name.strip_suffix(".rs").unwrap_or(name)
}

impl Database {
    /// Makes the pool; nothing is connected yet.
    pub(super) fn new(
        address: &PostgresAddress,
        connections: u32,
        clock: Option<Arc<dyn Clock>>,
        measures: Measures,
    ) -> Self {
        let hosts = Arc::new(Hosts::of(address));
        let trust = Arc::new(ConnectionTrust { start: Instant::now(), distrusted_before: AtomicU64::new(0) });
        let trusted = Arc::clone(&trust);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(CONNECT_WITHIN)
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(refuse_replica(connection)))
            .before_acquire(move |connection, metadata| {
                let trusted = Arc::clone(&trusted);
                Box::pin(async move {
                    let is_trusted = trusted.allows(metadata.age);
                    if !is_trusted || metadata.idle_for <= ASK_AFTER {
                        return Ok(is_trusted);
                    }
                    if let Ok(answer) = timeout(ANSWERS_WITHIN, writes(connection)).await {
                        return answer;
                    }
                    trusted.distrust_all();
                    Ok(false)
                })
            })
            .connect_lazy_with(hosts.current());
        Self { pool, hosts, prepares: !address.is_pooled, clock, trust, measures }
    }

    /// Runs `work` in a transaction; returns after the commit. It goes on when the caller stops listening.
    ///
    /// # Errors
    /// What `work` says; [`Error::Unavailable`] also when it is unknown whether the transaction was committed.
    #[track_caller]
    pub(super) fn write<T, W>(&self, work: W) -> impl Future<Output = Result<T>>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Session) -> Step<'c, T> + Send + Sync + 'static,
    {
        self.timed(Location::caller(), self.detached(Some("BEGIN"), work))
    }

    /// [`Database::write`] for a single statement, which is a transaction by itself.
    #[track_caller]
    pub(super) fn write_statement<T, W>(&self, work: W) -> impl Future<Output = Result<T>>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Session) -> Step<'c, T> + Send + Sync + 'static,
    {
        let begin = if self.prepares && self.clock.is_none() { None } else { Some("BEGIN") };
        self.timed(Location::caller(), self.detached(begin, work))
    }

    async fn detached<T, W>(&self, begin: Option<&'static str>, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Session) -> Step<'c, T> + Send + Sync + 'static,
    {
        let database = self.clone();
        let task = tokio::spawn(async move { database.try_often(begin, &work).await });
        task.await.map_err(|error| Error::unavailable("database", error))?
    }

    async fn try_often<T, W>(&self, begin: Option<&'static str>, work: &W) -> Result<T>
    where
        W: for<'c> Fn(&'c mut Session) -> Step<'c, T>,
    {
        let until = Instant::now() + PATIENCE;
        let mut tries = 0;
        loop {
            tries += 1;
            let left = until.saturating_duration_since(Instant::now());
            let attempt = timeout(left, self.attempt(begin, work)).await;
            let (error, undone) = match attempt {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(failed)) => failed,
                Err(_) => {
                    return Err(Error::unavailable("database", "it did not answer in time"));
                }
            };
            let again = match Trouble::of(&error) {
                Trouble::Answer => false,
                Trouble::InTheWay => undone && tries < MOST_TRIES,
                Trouble::Outdated => self.may_pass(Trouble::Outdated, until).await && tries < MOST_TRIES,
                trouble => self.may_pass(trouble, until).await && undone && self.is_worth(tries),
            };
            if !again {
                return Err(error);
            }
            sleep(LONGEST_STEP_ASIDE.mul_f64(random_part())).await;
        }
    }

    /// One try. An error comes with whether it is certain that nothing was changed.
    async fn attempt<T, W>(&self, begin: Option<&'static str>, work: &W) -> Result<T, (Error, bool)>
    where
        W: for<'c> Fn(&'c mut Session) -> Step<'c, T>,
    {
        let undone = |error| (error, true);
        let mut session = self.session().await.map_err(undone)?;
        let Some(begin) = begin else {
            let outcome = work(&mut session).await;
            let trouble = outcome.as_ref().err().map(Trouble::of);
            if !trouble.is_some_and(Trouble::is_of_connection) {
                session.finish();
            }
            // What was on its way when the connection broke may have been done.
            return outcome.map_err(|error| (error, trouble != Some(Trouble::Connection)));
        };
        session.say(begin).await.map_err(undone)?;
        self.set_clock(&mut session).await.map_err(undone)?;
        match work(&mut session).await {
            Ok(value) => {
                session.end().await.map_err(|error| (error, false))?;
                session.finish();
                Ok(value)
            }
            Err(error) => {
                if !Trouble::of(&error).is_of_connection() && session.say("ROLLBACK").await.is_ok() {
                    session.finish();
                }
                Err((error, true))
            }
        }
    }

    /// Runs statements that change nothing, each on its own.
    #[track_caller]
    pub(super) fn read<T, W>(&self, work: W) -> impl Future<Output = Result<T>>
    where
        W: for<'c> Fn(&'c mut Session) -> Step<'c, T>,
    {
        // Behind a pooler a statement that is not in a transaction may get another one's answer.
        let begin = if self.prepares { None } else { Some("BEGIN READ ONLY") };
        self.timed(Location::caller(), Box::pin(self.read_in(begin, work)))
    }

    /// Runs statements that change nothing, all of one moment.
    #[track_caller]
    pub(super) fn read_snapshot<T, W>(&self, work: W) -> impl Future<Output = Result<T>>
    where
        W: for<'c> Fn(&'c mut Session) -> Step<'c, T>,
    {
        let begin = Some("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        self.timed(Location::caller(), Box::pin(self.read_in(begin, work)))
    }

    /// Notes how long `call` takes, under the name of the file that makes it.
    async fn timed<T>(&self, caller: &'static Location<'static>, call: impl Future<Output = Result<T>>) -> Result<T> {
        // Boxed by its makers where it is large: those who await it hold it beside their own things.
        let start = std::time::Instant::now();
        let outcome = call.await;
        self.measures.called_database(part_of(caller), start);
        outcome
    }

    async fn read_in<T, W>(&self, begin: Option<&'static str>, work: W) -> Result<T>
    where
        W: for<'c> Fn(&'c mut Session) -> Step<'c, T>,
    {
        let until = Instant::now() + PATIENCE;
        let mut tries = 0;
        loop {
            tries += 1;
            let left = until.saturating_duration_since(Instant::now());
            let error = match timeout(left, self.attempt(begin, &work)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err((error, _))) => error,
                Err(_) => Error::unavailable("database", "it did not answer in time"),
            };
            let trouble = Trouble::of(&error);
            let is_worth = self.is_worth(tries) || (trouble == Trouble::Outdated && tries < MOST_TRIES);
            if !self.may_pass(trouble, until).await || !is_worth {
                return Err(error);
            }
            sleep(LONGEST_STEP_ASIDE.mul_f64(random_part())).await;
        }
    }

    /// Whether the same may work on another connection, which there is time for until `until`.
    async fn may_pass(&self, trouble: Trouble, until: Instant) -> bool {
        match trouble {
            Trouble::Answer | Trouble::InTheWay => return false,
            // The other connections have prepared the same.
            Trouble::Outdated => {
                self.trust.distrust_all();
                return true;
            }
            Trouble::Busy if self.is_full() => return false,
            Trouble::Busy => {}
            Trouble::Connection => self.trust.distrust_all(),
        }
        timeout_at(until, Box::pin(self.hosts.find(&self.pool))).await.is_ok()
    }

    /// A connection that was open for long may have been dead all the while; and one host may be about to take over from
    /// another.
    fn is_worth(&self, tries: u32) -> bool {
        tries < 2 || self.hosts.are_several()
    }

    /// Whether all connections that there may be are there: then it is the load that is too much, and no other host.
    fn is_full(&self) -> bool {
        self.pool.size() >= self.pool.options().get_max_connections()
    }

    async fn session(&self) -> Result<Session> {
        let start = std::time::Instant::now();
        let connection = self.connection().await.map_err(unavailable)?;
        self.measures.connected(start);
        Ok(Session::new(connection, self.prepares))
    }

    async fn connection(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let host = self.hosts.index();
        let mut acquired = std::pin::pin!(self.pool.acquire());
        if self.hosts.are_several() {
            if let Ok(connection) = timeout(LOOK_AROUND_AFTER, acquired.as_mut()).await {
                return connection;
            }
            if !self.is_full() {
                self.hosts.find(&self.pool).await;
            }
            if self.hosts.index() != host {
                // The host that it waits for may not even refuse.
                acquired.set(self.pool.acquire());
            }
        }
        acquired.await
    }

    /// Tells this transaction the time of a test, see `tests/queue/postgres`.
    async fn set_clock(&self, session: &mut Session) -> Result<()> {
        let Some(clock) = &self.clock else { return Ok(()) };
        let now = clock.now().0.to_string();
        session.execute(sqlx::query("SELECT set_config('afterimage.now', $1, TRUE)").bind(now)).await?;
        Ok(())
    }

    /// The host that connections are made to now.
    pub(super) fn host(&self) -> PgConnectOptions {
        self.hosts.current()
    }

    /// Ends all connections.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Finds out whether there is a pooler in transaction mode in between that nobody named: two connections that do nothing
/// then have one server process.
///
/// # Errors
/// [`Error::Pooler`], [`Error::Unavailable`].
pub(super) async fn refuse_pooler(address: &PostgresAddress) -> Result<()> {
    use sqlx::ConnectOptions;
    let mut last = None;
    for host in address.hosts() {
        let asked = timeout(PATIENCE, async {
            let (mut one, mut other) = (host.connect().await?, host.connect().await?);
            Ok::<_, sqlx::Error>((process_of(&mut one).await?, process_of(&mut other).await?))
        });
        match asked.await {
            Ok(Ok((one, other))) if one == other => return Err(Error::Pooler),
            Ok(Ok(_)) => return Ok(()),
            // What pgbouncer says to settings that it does not pass on.
            Ok(Err(error)) if error.to_string().contains("unsupported startup parameter") => return Err(Error::Pooler),
            Ok(Err(error)) => last = Some(unavailable(error)),
            Err(_) => last = Some(Error::unavailable("database", "it did not answer in time")),
        }
    }
    Err(last.unwrap_or_else(|| Error::unavailable("database", "the address names no host")))
}

async fn process_of(connection: &mut sqlx::PgConnection) -> Result<i32, sqlx::Error> {
    let row = sqlx::Executor::fetch_one(connection, sqlx::raw_sql("SELECT pg_backend_pid()::TEXT")).await?;
    let text: String = sqlx::Row::try_get(&row, 0)?;
    text.parse().map_err(|_| sqlx::Error::Protocol(format!("`{text}` is no process")))
}
