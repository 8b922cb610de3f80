//! The whole program, run as a user runs it: arguments in; exit code, output and files out.

#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

mod again;
mod bad_models;
mod bad_pictures;
mod bench;
#[cfg(target_os = "linux")]
mod card;
mod check;
#[path = "../support/checkpoints.rs"]
mod checkpoints;
mod completions;
mod config;
mod context;
mod controls;
#[cfg(target_os = "linux")]
mod cublaslt;
mod documents;
#[allow(dead_code, reason = "the ways in which a hub misbehaves are for the hub's own tests")]
#[path = "../../../afterimage-hub/tests/support/hub.rs"]
mod fake_hub;
mod help;
mod hub_models;
mod keys;
mod links;
mod lora;
mod many;
mod memory;
mod model_sets;
mod models;
mod outputs;
#[path = "../support/documents.rs"]
mod printed;
mod pull;
mod readme;
mod recipes;
mod safety;
#[cfg(unix)]
mod signals;
mod texts;
mod usage;
#[path = "../../../afterimage-jobs/tests/support/waiting.rs"]
mod waiting;
