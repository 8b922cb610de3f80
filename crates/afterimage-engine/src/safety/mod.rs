//! Safety checkers: networks that look at finished pictures and say whether one shows what should not be shown.

mod checker;
mod options;
mod review;
mod veil;

pub(crate) use checker::{Checkers, Verdict};
pub use options::{CheckerChoice, SafetyOptions, SafetyPreviews};
pub(crate) use review::{Review, Safety, open};
