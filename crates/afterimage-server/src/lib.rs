//! HTTP around the queue: dialects, keys, uploads, safe fetching, webhooks.
//!
//! This crate knows nothing of tensors and links no engine: what runs jobs is given to it as
//! [`afterimage_jobs::worker::Engines`].

pub mod app;
pub mod auth;
pub mod cancel;
pub mod cost;
pub mod dialects;
pub mod docs;
pub mod error_shape;
pub mod fetch;
pub mod fetchers;
pub mod files;
pub mod follow;
pub mod free_space;
pub mod http;
pub mod intake;
pub mod internal;
pub mod listen;
pub mod loras;
pub mod mcp;
pub mod model_sets;
pub mod network;
pub mod operations;
pub mod options;
pub mod parameters;
pub mod picture_check;
pub mod playground;
pub mod private_files;
pub mod problem;
pub mod refusal;
pub mod router;
pub mod serve;
pub mod shares;
pub mod storage_room;
pub mod submit;
pub mod text;
pub mod webhooks;

#[cfg(test)]
#[path = "../../afterimage-jobs/tests/support/waiting.rs"]
mod waiting;
