//! Errors of SQLite as those of the store.

use crate::Error;

/// Whatever goes wrong below is a reason to come back later; the log has the details.
pub(super) fn unavailable(error: sqlx::Error) -> Error {
    Error::unavailable("database", error)
}
