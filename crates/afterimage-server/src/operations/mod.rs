//! What operators need: health, metrics, cleaning up.

pub mod health;
pub mod housekeeping;
pub mod metrics;
