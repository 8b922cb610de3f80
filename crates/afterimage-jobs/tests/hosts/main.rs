//! Many hosts on one database: workers with engines that only wait, each with connections, news and looks of its own,
//! over lines that stall and break, on a database that goes away.
//!
//! Each test prints what it measured. They need PostgreSQL, see `support/postgres.rs`.

#![expect(clippy::unwrap_used, reason = "helpers outside of test functions fail the test too")]

mod capacity;
mod costs;
mod counters;
mod depth;
mod filling;
mod host;
#[path = "../support/latencies.rs"]
mod latencies;
mod mixture;
mod news;
mod outages;
mod poolers;
#[path = "../support/postgres.rs"]
mod postgres;
mod rescues;
mod schemas;
mod snapshots;
mod throughput;
#[path = "../support/unsteady_proxy.rs"]
mod unsteady_proxy;
#[path = "../support/waiting.rs"]
mod waiting;
