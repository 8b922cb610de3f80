//! One connection in the hands of one operation.

use super::error::unavailable;
use crate::Result;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Executor, Postgres};

/// A statement with its values.
pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A connection, mostly within a transaction. One that is dropped half way is closed with it: a server that is asked
/// nothing more must not keep rows locked.
pub(super) struct Session {
    connection: PoolConnection<Postgres>,
    /// Whether statements may be prepared by name. A pooler gives each transaction another server connection, where
    /// such names are unknown or mean something else.
    prepares: bool,
    is_finished: bool,
    is_undone: bool,
}

impl Session {
    pub(super) const fn new(connection: PoolConnection<Postgres>, prepares: bool) -> Self {
        Self { connection, prepares, is_finished: false, is_undone: false }
    }

    /// Has what follows planned with what is known of the tables now. For what is seldom done and reads much: a plan that
    /// was made while tables were small would be kept until the server has looked at them again, up to a minute.
    pub(super) const fn plan_anew(&mut self) {
        self.prepares = false;
    }

    /// All rows of the answer.
    pub(super) async fn all(&mut self, statement: Statement<'_>) -> Result<Vec<PgRow>> {
        statement.persistent(self.prepares).fetch_all(&mut *self.connection).await.map_err(unavailable)
    }

    /// The first row, if there is one.
    pub(super) async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<PgRow>> {
        statement.persistent(self.prepares).fetch_optional(&mut *self.connection).await.map_err(unavailable)
    }

    /// The one row that there is.
    pub(super) async fn one(&mut self, statement: Statement<'_>) -> Result<PgRow> {
        statement.persistent(self.prepares).fetch_one(&mut *self.connection).await.map_err(unavailable)
    }

    /// How many rows were changed.
    pub(super) async fn execute(&mut self, statement: Statement<'_>) -> Result<u64> {
        let done = statement.persistent(self.prepares).execute(&mut *self.connection).await.map_err(unavailable)?;
        Ok(done.rows_affected())
    }

    /// Sends text that has no values and no answer.
    pub(super) async fn say(&mut self, text: &'static str) -> Result<()> {
        self.connection.execute(sqlx::raw_sql(text)).await.map_err(unavailable)?;
        Ok(())
    }

    /// Has the transaction rolled back in the end, although the operation has an answer.
    pub(super) const fn undo(&mut self) {
        self.is_undone = true;
    }

    /// Ends the transaction.
    pub(super) async fn end(&mut self) -> Result<()> {
        self.say(if self.is_undone { "ROLLBACK" } else { "COMMIT" }).await
    }

    /// Gives the connection back to the pool; outside of transactions only.
    pub(super) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_finished {
            self.connection.close_on_drop();
        }
    }
}
