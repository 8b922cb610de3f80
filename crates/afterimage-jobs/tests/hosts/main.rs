//! Many hosts on one database: workers with engines that only wait, each with connections, news and looks of its own,
//! over lines that stall and break, on a database that goes away.
//!
//! Each test prints what it measured. They need PostgreSQL, see `support/postgres.rs`.

#![expect(clippy::unwrap_used, reason = "helpers outside of test functions fail the test too")]

mod asking;
mod capacity;
mod clocks;
mod costs;
mod counters;
mod crowds;
mod cuts;
mod depth;
mod draining;
#[path = "../support/faketime.rs"]
mod faketime;
mod faults;
mod filling;
mod host;
#[path = "../support/latencies.rs"]
mod latencies;
mod mixture;
mod news;
mod outages;
mod pooler;
mod poolers;
#[path = "../support/postgres.rs"]
mod postgres;
mod promotion;
mod replicas;
mod rescues;
#[path = "../support/s3_server.rs"]
mod s3_server;
mod schemas;
mod snapshots;
mod throughput;
mod twins;
mod unheard;
mod unreadable;
#[path = "../support/unsteady_proxy.rs"]
mod unsteady_proxy;
mod upkeep;
mod versions;
#[path = "../support/waiting.rs"]
mod waiting;
