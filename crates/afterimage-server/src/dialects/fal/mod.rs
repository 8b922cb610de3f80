//! fal: synchronous requests, a queue with status, result and cancelling, streams, and the helpers of its clients.

pub(crate) mod cdn;
pub mod error;
pub(crate) mod files;
pub mod output;
pub mod token;
pub(crate) mod uploads;
pub(crate) mod webhook;

pub use error::respond;

/// The dialect's name in the store.
pub const DIALECT: &str = "fal";
