//! The schema's history. An entry is never changed once it was released: sqlx compares checksums.
//!
//! Servers of the release before go on working on the schema of this one: what they need is taken away one release
//! later (expand, migrate, contract).

use super::error::{Trouble, unavailable};
use super::session::Session;
use crate::store::sql::rows::column;
use crate::{Error, Result};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqlSafeStr};
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::sleep;

const HISTORY: &[(i64, &str, &str)] = &[
    (1, "queue", include_str!("migrations/0001_queue.sql")),
    (2, "operators", include_str!("migrations/0002_operators.sql")),
];

/// The version that this program was made for.
pub(super) const OURS: i64 = 2;

/// Tries of a migration that waits for tables in use.
const MOST_TRIES: u32 = 10;

/// Pause between them.
const RETRY: Duration = Duration::from_secs(1);

/// [`migrate`], again while others hold what it has to change.
pub(super) async fn run(host: &PgConnectOptions) -> Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        match migrate(host).await {
            Err(error) if Trouble::of(&error) == Trouble::InTheWay && tries < MOST_TRIES => {
                tracing::info!(%error, "the tables are in use; trying again");
                sleep(RETRY).await;
            }
            outcome => return outcome,
        }
    }
}

/// Brings the schema to this program's version; one that was changed is refused. Several may do so at once: a lock that
/// goes with the transaction lets them come in turn.
async fn migrate(host: &PgConnectOptions) -> Result<()> {
    let mut connection = host.connect().await.map_err(unavailable)?;
    let mut transaction = connection.begin().await.map_err(unavailable)?;
    // A change of a table waits for whoever uses it, and all who come later wait for the change: rather not for long.
    let limits = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '3s'; \
                  SELECT pg_advisory_xact_lock(7204117320420)";
    transaction.execute(sqlx::raw_sql(limits)).await.map_err(unavailable)?;
    let migrations = HISTORY
        .iter()
        .map(|&(version, name, sql)| {
            Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    // sqlx's own lock belongs to the session, and a pooler would leave it behind on some connection.
    migrator.set_locking(false);
    // A newer server may have been here first.
    migrator.set_ignore_missing(true);
    migrator.run(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(unavailable)
}

/// What the database itself said, where it did: that tells whether to try again.
fn failed(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => unavailable(error),
        other => Error::unavailable("database", other),
    }
}

/// The schema's version, and the oldest program's that it serves; `None` when there is none yet.
pub(super) async fn version(session: &mut Session) -> Result<Option<(i64, i64)>> {
    let table = session.one(sqlx::query("SELECT to_regclass('_sqlx_migrations')::TEXT AS name")).await?;
    if column::<Option<String>>(&table, "name")?.is_none() {
        return Ok(None);
    }
    let query = "SELECT MAX(version) AS version, (SELECT value FROM settings WHERE name = 'oldest schema served')::BIGINT \
         AS oldest FROM _sqlx_migrations WHERE success";
    let row = session.one(sqlx::query(query)).await?;
    Ok(Some((column(&row, "version")?, column::<Option<i64>>(&row, "oldest")?.unwrap_or(i64::MAX))))
}
