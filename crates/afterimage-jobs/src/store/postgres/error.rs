//! What an error of the database means for whoever tries again.

use crate::Error;
use sqlx::postgres::PgDatabaseError;

/// Whatever goes wrong below is a reason to come back later; the log has the details.
pub(super) fn unavailable(error: sqlx::Error) -> Error {
    Error::unavailable("database", error)
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another transaction was in the way; nothing was changed, the same again at once may work.
    InTheWay,
    /// The connection is of no use any more: lost, to a server that stopped, is full, or does not write, or one that prepared
    /// statements before a migration changed what they answer.
    Connection,
    /// A table has other columns now than when the connection prepared a statement, which it refuses from then on; nothing was
    /// changed.
    Outdated,
    /// All connections are busy, or new ones are not to be had.
    Busy,
    /// The server answered and the connection is good.
    Answer,
}

impl Trouble {
    /// Whether the connection is to be closed.
    pub(super) const fn is_of_connection(self) -> bool {
        matches!(self, Self::Connection | Self::Outdated)
    }

    pub(super) fn of(error: &Error) -> Self {
        let Error::Unavailable { source, .. } = error else { return Self::Answer };
        source.downcast_ref().map_or(Self::Answer, Self::of_sqlx)
    }

    pub(super) fn of_sqlx(error: &sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::Busy;
        }
        let sqlx::Error::Database(answer) = error else {
            // What does not decode says nothing about the connection.
            let is_about_values = matches!(
                error,
                sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound
            );
            return if is_about_values { Self::Answer } else { Self::Connection };
        };
        // The text is in the server's language, the name of the function is not.
        if let Some(answer) = answer.try_downcast_ref::<PgDatabaseError>()
            && (answer.code(), answer.routine()) == ("0A000", Some("RevalidateCachedQuery"))
        {
            return Self::Outdated;
        }
        match answer.code().as_deref() {
            // serialization_failure, deadlock_detected, lock_not_available
            Some("40001" | "40P01" | "55P03") => Self::InTheWay,
            // read_only_sql_transaction: a primary that became a replica. The rest: shutdown, crash, starting up, too
            // many connections, connection exceptions.
            Some("25006" | "57P01" | "57P02" | "57P03" | "53300") => Self::Connection,
            // feature_not_supported: nothing else that is asked here is.
            Some("0A000") if answer.message().contains("cached plan") => Self::Connection,
            Some(code) if code.starts_with("08") => Self::Connection,
            _ => Self::Answer,
        }
    }
}
