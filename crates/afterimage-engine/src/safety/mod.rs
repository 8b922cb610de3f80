//! Safety checkers: networks that look at finished pictures and say whether one shows what should not be shown.
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | which checkers look, and what follows |
//! | `review.rs` | the stage: who looks at which pictures, and what follows |
//! | `veil.rs` | what is shown in place of a picture |
//! | `checkers.rs` | all checkers of an engine, and what they say together |
//! | `picture_checker.rs` | the same for those who have pictures and no engine |
//! | `files.rs` | from a path to the checker that it holds |
//! | `open_nsfw.rs`, `vit.rs`, `compvis.rs` | the kinds: from a picture to a score |
//! | `scaled_integers.rs` | weights of 8 bits with a scale for each output |
//! | `preprocessor.rs` | `preprocessor_config.json`: from a picture to a network's input |
//! | `probability.rs` | from logits to a probability |
//! | `finite.rs` | numbers that are none |

mod checkers;
mod compvis;
mod files;
mod finite;
mod open_nsfw;
mod options;
mod picture_checker;
mod preprocessor;
mod probability;
mod review;
mod scaled_integers;
#[cfg(test)]
mod tests;
mod veil;
mod vit;

pub use checkers::Verdict;
#[cfg(test)]
pub(crate) use open_nsfw::embedded_network as open_nsfw_network;
pub use options::{CheckerChoice, SafetyOptions, SafetyPreviews};
pub use picture_checker::StandaloneChecker;
pub(crate) use review::{Review, Safety, open};
