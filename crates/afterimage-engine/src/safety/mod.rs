//! Safety checkers: networks that look at finished pictures and say whether one shows what should not be shown.

mod options;

pub use options::{CheckerChoice, SafetyOptions, SafetyPreviews};
