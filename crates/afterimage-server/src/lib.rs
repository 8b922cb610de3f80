//! HTTP around the queue: dialects, keys, uploads, safe fetching, webhooks, and the supervised engine process.
//!
//! This crate knows nothing of tensors; the engine runs in a child process (see [`engine_process`]).

pub mod app;
pub mod auth;
mod bounded;
pub mod cost;
pub mod decode;
pub mod dialects;
pub mod docs;
pub mod engine_process;
pub mod error_shape;
pub mod fetch;
pub mod fetchers;
pub mod files;
pub mod free_space;
pub mod http;
pub mod intake;
pub mod listen;
pub mod network;
pub mod operations;
pub mod options;
pub mod playground;
pub mod private_files;
pub mod progress;
pub mod refusal;
pub mod router;
pub mod serve;
pub mod shares;
pub mod sources;
pub mod storage_room;
pub mod submit;
pub mod text;
pub mod wait;
pub mod webhooks;
