//! WaveSpeed v3: submit a task, poll its result.

pub(crate) mod account;
mod error;
pub(crate) mod events;
mod models;
mod prediction;
pub(crate) mod predictions;
mod routes;
mod submission;
mod submit;
mod tasks;
pub(crate) mod uploads;
pub(crate) mod webhook;

pub use error::{ErrorBody, Shape};
pub use models::MODELS;
pub use prediction::{Envelope, Prediction};
pub use routes::router;
pub use submission::{CheckedFields, submission_of};
pub use webhook::WebhookRenderer;

/// The dialect's name in the store.
pub const DIALECT: &str = "wavespeed";
