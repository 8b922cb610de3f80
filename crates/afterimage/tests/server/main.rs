//! The server over real sockets, with the real engine process where a job has to run.

#![expect(clippy::unwrap_used, reason = "a failure in a helper is a failure of the test")]

mod account;
#[path = "../support/checkpoints.rs"]
mod checkpoints;
mod confidential;
mod connections;
mod controls;
mod dialects;
mod fal;
mod fal_clients;
mod fal_files;
mod fetching;
mod gate;
mod hostile;
mod hostile_dialects;
mod hostile_forms;
mod hostile_streams;
mod http2;
mod isolation;
mod isolation_dialects;
mod isolation_generated;
mod isolation_operations;
mod jobs;
#[path = "../support/lora_files.rs"]
mod lora_files;
mod loras;
mod mcp;
mod mcp_lines;
#[cfg(target_os = "linux")]
mod models;
mod openai;
mod operators;
#[path = "../support/picture_host.rs"]
mod picture_host;
mod requests;
mod safety;
mod safety_checked;
mod scripted;
mod stopping;
mod support;
mod validation;
#[path = "../../../afterimage-jobs/tests/support/waiting.rs"]
mod waiting;
