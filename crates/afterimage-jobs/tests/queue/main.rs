//! The queue's tests: one suite for every store, SQLite against the memory store as its oracle, the state machine
//! explored as a model, the worker loop, and what must survive a crash.

#![expect(clippy::unwrap_used, reason = "helpers outside of test functions fail the test too")]

mod fixtures;
mod model;
mod oracle;
mod sqlite;
mod suite;
mod workers;
