//! fal: synchronous requests, a queue with status, result and cancelling, streams, and the helpers of its clients.

pub(crate) mod call_token;
pub(crate) mod cdn;
pub mod error;
mod file_routes;
mod lifecycle;
mod models;
pub mod output;
mod path;
mod proxy;
mod requests;
mod responses;
mod routes;
pub mod status;
mod stream;
mod submission;
pub mod token;
pub(crate) mod uploads;
pub(crate) mod webhook;

pub use error::Shape;
pub use models::MODELS;
pub use routes::router;

/// The dialect's name in the store.
pub const DIALECT: &str = "fal";
