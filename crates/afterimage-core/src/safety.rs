//! What is known of a generation's pictures after a safety checker has looked at them.

use serde::{Deserialize, Serialize};

/// What happens to a picture that a safety checker has flagged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum OnFlag {
    /// A black picture of the same size takes its place; what was made is kept nowhere.
    #[default]
    Withhold,
    /// It is made unrecognisable by blurring; what was made is kept nowhere.
    Blur,
    /// It stays as it is and is only called flagged.
    Keep,
}

/// What the safety checkers of an engine did for one generation that asked for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SafetyFacts {
    /// What was done to flagged pictures.
    pub on_flag: OnFlag,
    /// For each picture, in order, what each of [`crate::ModelFacts::checkers`] said, in their order. A classifier says a
    /// probability in 0..=1, CompVis' checker how far the nearest of its concepts is beyond its threshold, −2..=2. Empty
    /// for a picture that could not be checked.
    pub scores: Vec<Vec<f64>>,
    /// Why a picture could not be checked, if there is such a picture. It is not called flagged, and not unflagged either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}
