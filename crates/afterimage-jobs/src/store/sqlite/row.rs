//! Rows of SQLite.

use super::unavailable;
use crate::Result;
use crate::store::sql::StoredRow;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

impl StoredRow for SqliteRow {
    fn text(&self, name: &str) -> Result<Option<String>> {
        self.try_get(name).map_err(unavailable)
    }

    fn number(&self, name: &str) -> Result<Option<i64>> {
        self.try_get(name).map_err(unavailable)
    }

    fn flag(&self, name: &str) -> Result<bool> {
        self.try_get::<Option<bool>, _>(name).map(Option::unwrap_or_default).map_err(unavailable)
    }
}
