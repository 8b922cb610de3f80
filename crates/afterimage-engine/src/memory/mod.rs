//! What models and buffers take of memory, and which of them stay there.
//!
//! | file | what |
//! |---|---|
//! | `machine.rs` | what there is |
//! | `activations.rs` | what the networks' buffers take |
//! | `plan.rs` | what is kept, released or streamed so that everything fits |

mod activations;
mod machine;
mod plan;

pub(crate) use activations::{clip, flux, siglip, step_caches, t5};
pub use machine::usable_memory;
pub(crate) use plan::{MemoryNeeds, PROGRAM, PartNeeds, gigabytes};
pub use plan::{MemoryPlan, PlannedPart, Residency};
