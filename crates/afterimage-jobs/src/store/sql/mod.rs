//! What the stores in SQL databases have in common: the names of columns and what is in them.

pub(super) mod activity;
mod row;
pub(super) mod rows;

pub(super) use row::StoredRow;
