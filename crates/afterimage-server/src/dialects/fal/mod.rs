//! fal: synchronous requests, a queue with status, result and cancelling, streams, and the helpers of its clients.

pub mod cdn;
pub mod error;
pub mod files;
pub mod output;
pub mod uploads;
pub mod webhook;

pub use error::respond;

/// The dialect's name in the store.
pub const DIALECT: &str = "fal";
