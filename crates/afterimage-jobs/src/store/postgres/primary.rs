//! Which of several hosts takes changes.
//!
//! All are asked at once, since one that is gone may not even refuse. Going to the next one blindly would send whoever lost a single
//! connection to a replica.

use super::address::PostgresAddress;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long a host may take to say that it takes changes.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Pause between two looks: all connections of a host that went fail at the same time.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// The hosts of a database, and the one that new connections go to.
pub(super) struct Hosts {
    options: Vec<PgConnectOptions>,
    current: AtomicUsize,
    /// When all were last asked. Locked while they are.
    looked_at: Mutex<Option<Instant>>,
}

impl Hosts {
    pub(super) fn of(address: &PostgresAddress) -> Self {
        Self { options: address.for_work(), current: AtomicUsize::new(0), looked_at: Mutex::new(None) }
    }

    /// Whether there is anything to choose.
    pub(super) const fn are_several(&self) -> bool {
        self.options.len() > 1
    }

    /// The host that new connections go to.
    pub(super) fn current(&self) -> PgConnectOptions {
        self.options[self.index()].clone()
    }

    /// Which of them that is.
    pub(super) fn index(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// Sends new connections of `pool` to a host that takes changes, if there is one.
    pub(super) async fn find(&self, pool: &PgPool) {
        if !self.are_several() {
            return;
        }
        let wanted = Instant::now();
        let mut looked_at = self.looked_at.lock().await;
        if looked_at.is_some_and(|looked_at| looked_at + LOOK_AGAIN_AFTER > wanted) {
            return;
        }
        let mut asked: FuturesUnordered<_> = self.options.iter().enumerate().map(ask).collect();
        while let Some((index, takes_changes)) = asked.next().await {
            if takes_changes {
                if self.current.swap(index, Ordering::Relaxed) != index {
                    tracing::warn!(host = self.current().get_host(), "another host of the database takes changes now");
                }
                pool.set_connect_options(self.current());
                break;
            }
        }
        *looked_at = Some(Instant::now());
    }
}

async fn ask((index, host): (usize, &PgConnectOptions)) -> (usize, bool) {
    let answer = timeout(ANSWERS_WITHIN, async { writes(&mut host.connect().await?).await });
    (index, matches!(answer.await, Ok(Ok(true))))
}

/// Replicas are readable and behind; a server that works on one shows what is no longer so, and can change nothing.
pub(super) async fn refuse_replica(connection: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
    if writes(connection).await? {
        return Ok(());
    }
    Err(sqlx::Error::Protocol("this server is a replica or read-only".to_owned()))
}

/// Whether the server at the other end takes changes.
pub(super) async fn writes(connection: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    let asked = sqlx::raw_sql("SHOW transaction_read_only");
    let row = sqlx::Executor::fetch_one(connection, asked).await?;
    Ok(sqlx::Row::try_get::<String, _>(&row, 0)? == "off")
}
