//! The worker loop: claims, runs, keeps the lease alive, records the end.

mod executor;
mod hints;

pub use executor::{Control, Encoded, Execution, Executor, Produced};
pub use hints::Hints;
