//! What operators need: health and metrics.

pub mod health;
pub mod metrics;
mod readiness;

pub use readiness::Readiness;
