//! Weights in the card's memory, or on their way there.
//!
//! | file | what |
//! |---|---|
//! | `matrix.rs` | a weight, and where its parts are |
//! | `kind.rs` | how weights are kept, and where the parts of one lie |
//! | `pack.rs` | from a file's numbers to those |
//! | `staging.rs` | pinned memory on the way |
//! | `stream.rs` | bytes that stay in host memory and come for every use |

mod kind;
mod matrix;
mod pack;
mod staging;
mod stream;

pub(crate) use kind::{Keeping, Layout, WeightKind};
pub use matrix::CudaWeight;
pub(crate) use matrix::{WeightParts, WeightPlace};
pub(crate) use pack::pack;
pub(crate) use staging::Staging;
pub(crate) use stream::Streaming;
