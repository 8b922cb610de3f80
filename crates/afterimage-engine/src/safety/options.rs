//! Which checkers look at results, and what follows from what they say.

use afterimage_core::OnFlag;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Who looks at results, and what becomes of those that are flagged. The default: nobody looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SafetyOptions {
    /// The checkers. A picture is flagged when any of them objects to it.
    pub checkers: Vec<CheckerChoice>,
    /// Whether every picture must have been looked at: requests cannot go without, and one whose pictures cannot be
    /// checked fails.
    pub required: bool,
    /// 0..=1: a classifier objects to a picture whose score is at least this. 0 flags everything, whatever the checker.
    pub threshold: f64,
    /// What becomes of a flagged picture.
    pub on_flag: OnFlag,
    /// What previews show of a request whose result will be checked.
    pub previews: SafetyPreviews,
    /// Whether input pictures are looked at, too; a request with a flagged one fails.
    pub check_inputs: bool,
}

impl Default for SafetyOptions {
    fn default() -> Self {
        Self {
            checkers: Vec::new(),
            required: false,
            threshold: 0.5,
            on_flag: OnFlag::default(),
            previews: SafetyPreviews::default(),
            check_inputs: false,
        }
    }
}

/// One checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckerChoice {
    /// The embedded `open_nsfw`.
    Builtin,
    /// A folder in transformers' layout, or a weights file.
    Path(PathBuf),
}

/// What previews show of a request whose result will be checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum SafetyPreviews {
    /// Small and blurred pictures.
    #[default]
    Blur,
    /// No previews.
    Off,
    /// What every preview shows: a viewer sees what the check will withhold.
    On,
}
