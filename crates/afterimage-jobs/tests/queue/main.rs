//! The queue's tests: one suite for every store, SQLite against the memory store as its oracle, the state machine
//! explored as a model, the worker loop, and what must survive a crash.

#![expect(clippy::unwrap_used, reason = "helpers outside of test functions fail the test too")]
#![expect(clippy::duration_suboptimal_units, reason = "times beside each other are easier to compare in one unit")]
#![expect(clippy::cloned_ref_to_slice_refs, reason = "an array of one is what the assertion means")]

mod fixtures;
mod model;
mod oracle;
#[path = "../support/postgres.rs"]
mod postgres;
mod races;
mod sqlite;
mod suite;
mod sweeping;
mod turns;
#[path = "../support/waiting.rs"]
mod waiting;
mod workers;
