//! HTTP around the queue: dialects, keys, uploads, safe fetching, webhooks, and the supervised engine process.
//!
//! This crate knows nothing of tensors; the engine runs in a child process (see [`engine_process`]).

pub mod decode;
pub mod engine_process;
pub mod fetch;
pub mod webhooks;
