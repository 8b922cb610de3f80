//! Low-rank adapters (Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021): files in every form of names
//! that people have, as updates of the models' layers.
//!
//! | file | what |
//! |---|---|
//! | `key.rs` | a tensor's name: which network, which layer, which of its matrices; what is refused by its name |
//! | `alpha.rs` | the scales that stand in a file's header |
//! | `pairs.rs` | the tensors of a file, sorted by layers |
//! | `targets.rs` | the layers of a network under all the names that files have for them |
//! | `read.rs` | a file as updates of these layers |
//! | `update.rs`, `used.rs` | one update, and those that a generation uses |
//! | `merged.rs` | weights with updates added to them |

mod alpha;
mod key;
mod merged;
mod pairs;
mod read;
mod targets;
mod update;
mod used;

pub use key::{LoraForm, LoraPart, is_lora};
pub use merged::MergedLoras;
pub use pairs::LoraPairs;
pub use read::{LoraWeights, TargetsOf};
pub use targets::LoraTargets;
pub use update::LoraUpdate;
pub(crate) use update::stored;
pub use used::{AppliedLoras, AppliedUpdate, UsedLora};
