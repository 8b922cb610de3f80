//! The server over real sockets, with the real engine process where a job has to run.

#![expect(clippy::unwrap_used, reason = "a failure in a helper is a failure of the test")]

mod account;
mod connections;
mod fal;
mod fal_files;
mod hostile;
mod http2;
mod isolation;
mod jobs;
mod openai;
mod support;
mod validation;
