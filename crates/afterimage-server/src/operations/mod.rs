//! What operators need: health, status, metrics, and an account of what safety checkers said.

mod checks;
mod counted;
pub mod health;
pub mod loras;
pub mod metrics;
mod readiness;
pub mod status;

pub use counted::Counted;
pub use readiness::{Needs, Readiness};
