//! What an engine runs.

use crate::Size;
use serde::{Deserialize, Serialize};

/// What an engine runs, for people and for front ends that have only a description of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Name of the model.
    pub name: String,
    /// Output size when a request names none.
    pub native_size: Size,
    /// Device that runs it.
    pub device: String,
    /// Compute type, `f32` or `bf16`.
    pub dtype: String,
    /// Names of the safety checkers that look at results; none: nobody does.
    #[serde(default)]
    pub checkers: Vec<String>,
}
