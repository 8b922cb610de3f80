//! The store in a PostgreSQL database, shared by servers and workers on many hosts.
//!
//! The state machine of `crate::state` decides every transition, as it does for SQLite; what differs is that others write
//! at the same time. Rows are locked before they are changed ([`transition`]), claims pass over what others are about
//! to take ([`claim`]), sums are added up later (`journal` in the schema), and the database's clock is the only one
//! that counts.

mod activity;
mod address;
mod claim;
mod database;
mod day_sums;
mod error;
mod fetches;
mod floors;
mod grace;
mod hosts;
mod import;
mod jobs;
mod keys;
mod listing;
mod migrations;
mod outbox;
mod primary;
mod rescue;
mod retention;
mod row;
mod session;
mod settings;
mod submit;
mod text;
mod transition;
mod turns;
mod unheard;
mod unreadable;
mod upkeep;
mod uploads;
mod usage;

use crate::{Clock, Error, MAX_UNCLEAN_ENDS, Measures, Result, WorkerId};
use address::PostgresAddress;
use database::Database;
use floors::Floors;
use grace::Grace;
pub use hosts::{Announced, DatabaseHealth, RunPlace, SeenJob};
pub use import::Imported;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Jobs, keys, uploads, webhooks and settings in a PostgreSQL database. Clones share its connections.
#[derive(Clone)]
pub struct PostgresStore {
    database: Database,
    claims: Arc<Claims>,
    grace: Arc<Grace>,
    /// Every claim first does what [`PostgresStore::keep_house`] does: for tests, whose clock stands still.
    keeps_house_at_each_call: bool,
    /// See [`PostgresOptions::expired_leases`].
    expired_leases: u32,
    /// Where to listen; `None`: nowhere.
    direct: Option<PostgresAddress>,
    /// Leases are never longer; `None`: they are believed as they are.
    longest_lease: Option<Duration>,
}

/// How a [`PostgresStore`] is opened.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Connections at once. All processes together must stay below what the server allows.
    pub connections: u32,
    /// The longest lease that workers take; after a restart of the database nobody is rescued for as long.
    pub longest_lease: Duration,
    /// Leases of a job that may run out before it is given up, at least [`crate::MAX_UNCLEAN_ENDS`]. More where hosts vanish by
    /// themselves; deaths of engines that a living worker sees are counted as ever.
    pub expired_leases: u32,
    /// An address of the same database that leads past a pooler, for listening.
    pub direct_address: Option<String>,
    /// Times the calls.
    pub measures: Measures,
    /// Takes the place of the database's clock, its grace and its regular housekeeping: for tests of one store by
    /// one caller. The database has to have been prepared for it.
    pub test_clock: Option<Arc<dyn Clock>>,
}

impl Default for PostgresOptions {
    /// For a server with a few slots.
    fn default() -> Self {
        Self {
            connections: 8,
            longest_lease: Duration::from_secs(12),
            expired_leases: MAX_UNCLEAN_ENDS,
            direct_address: None,
            measures: Measures::default(),
            test_clock: None,
        }
    }
}

/// What this process knows of its claims.
#[derive(Debug, Default)]
struct Claims {
    floors: Floors,
    /// Workers, and when a claim of theirs last had an unknown outcome.
    doubtful: Mutex<HashMap<WorkerId, Instant>>,
}

impl Claims {
    /// How long after an unknown outcome a worker asks what it holds. A commit that waits for a standby shows late; what shows
    /// later than this has been rescued.
    const DOUBT_FOR: Duration = Duration::from_secs(15);

    fn doubt(&self, worker: WorkerId) {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, Instant::now());
    }

    fn is_doubtful(&self, worker: &WorkerId) -> bool {
        let mut doubtful = self.doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        doubtful.retain(|_, since| since.elapsed() < Self::DOUBT_FOR);
        doubtful.contains_key(worker)
    }
}

impl PostgresStore {
    /// Connects to the database at `address` (`postgres://user@host,host/name?pooler=transaction`; the password by
    /// `PGPASSWORD` or a password file) whose schema is up to date.
    ///
    /// # Errors
    /// [`Error::Address`]; [`Error::Unavailable`] when no host answers that writes; [`Error::Schema`] when
    /// [`PostgresStore::migrate`] has to be called first or a newer version was here; [`Error::Pooler`] when there is
    /// a pooler that the address does not name.
    pub async fn open(address: &str, options: PostgresOptions) -> Result<Self> {
        let address = PostgresAddress::parse(address)?;
        if !address.is_pooled {
            database::refuse_pooler(&address).await?;
        }
        let store = Self::lazy(&address, options)?;
        match store.database.read(|session| Box::pin(migrations::version(session))).await? {
            // One that is newer may serve programs of the version before.
            Some((version, oldest)) if version >= migrations::OURS && oldest <= migrations::OURS => Ok(store),
            other => Err(Error::Schema { found: other.map(|(version, _)| version), known: migrations::OURS }),
        }
    }

    /// Brings the schema at `address` up to date. With a pooler in between, `address` should lead past it.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn migrate(address: &str) -> Result<()> {
        let address = PostgresAddress::parse(address)?;
        let mut last = Error::unavailable("database", "the address names no host");
        // A replica refuses, and the next host is asked.
        for host in address.hosts() {
            match migrations::run(host).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn lazy(address: &PostgresAddress, options: PostgresOptions) -> Result<Self> {
        let is_test = options.test_clock.is_some();
        Ok(Self {
            direct: address.direct(options.direct_address.as_deref())?,
            database: Database::new(address, options.connections, options.test_clock, options.measures),
            claims: Arc::new(Claims { floors: Floors::new(is_test), ..Claims::default() }),
            grace: Arc::default(),
            keeps_house_at_each_call: is_test,
            expired_leases: options.expired_leases.max(MAX_UNCLEAN_ENDS),
            longest_lease: (!is_test).then_some(options.longest_lease),
        })
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
