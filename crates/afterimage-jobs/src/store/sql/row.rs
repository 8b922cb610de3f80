//! Rows of either database, read in one way. Both keep numbers as 64-bit integers.

use crate::{Error, Result};

/// A row of a table.
pub(in crate::store) trait StoredRow {
    /// A text that may be absent.
    fn text(&self, name: &str) -> Result<Option<String>>;
    /// A number that may be absent.
    fn number(&self, name: &str) -> Result<Option<i64>>;
    /// Whether something is so; absent counts as not.
    fn flag(&self, name: &str) -> Result<bool>;
}

/// A column's value.
pub(in crate::store) fn column<T: ColumnValue>(row: &impl StoredRow, name: &str) -> Result<T> {
    T::of(row, name)
}

/// What a column can be read as.
pub(in crate::store) trait ColumnValue: Sized {
    fn of(row: &impl StoredRow, name: &str) -> Result<Self>;
}

impl ColumnValue for bool {
    fn of(row: &impl StoredRow, name: &str) -> Result<Self> {
        row.flag(name)
    }
}

impl ColumnValue for Option<String> {
    fn of(row: &impl StoredRow, name: &str) -> Result<Self> {
        row.text(name)
    }
}

impl ColumnValue for String {
    fn of(row: &impl StoredRow, name: &str) -> Result<Self> {
        row.text(name)?.ok_or_else(|| absent(name))
    }
}

impl ColumnValue for Option<i64> {
    fn of(row: &impl StoredRow, name: &str) -> Result<Self> {
        row.number(name)
    }
}

impl ColumnValue for i64 {
    fn of(row: &impl StoredRow, name: &str) -> Result<Self> {
        row.number(name)?.ok_or_else(|| absent(name))
    }
}

impl ColumnValue for Option<u32> {
    fn of(row: &impl StoredRow, name: &str) -> Result<Self> {
        let number = row.number(name)?.map(u32::try_from).transpose();
        number.map_err(|error| Error::unavailable(format!("database column {name}"), error))
    }
}

impl ColumnValue for u32 {
    fn of(row: &impl StoredRow, name: &str) -> Result<Self> {
        Option::<Self>::of(row, name)?.ok_or_else(|| absent(name))
    }
}

fn absent(name: &str) -> Error {
    Error::unavailable(format!("database column {name}"), "it is empty")
}
