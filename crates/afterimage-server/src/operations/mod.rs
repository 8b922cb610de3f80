//! What operators need: health and metrics.

mod counted;
pub mod health;
pub mod metrics;
mod readiness;

pub use counted::Counted;
pub use readiness::{Needs, Readiness};
