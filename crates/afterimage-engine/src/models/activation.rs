//! The activation functions of the encoders' feed-forward layers.

use crate::layers;
use serde::{Deserialize, Serialize};

/// An activation, by the names that transformers' configurations use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// `x · sigmoid(1.702 x)`
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// GELU with the error function.
    #[serde(rename = "gelu")]
    Gelu,
    /// GELU with the tanh approximation.
    #[serde(rename = "gelu_pytorch_tanh", alias = "gelu_new")]
    GeluTanh,
}

impl Activation {
    /// Applies it to every number.
    pub fn apply(self, x: &mut [f32]) {
        match self {
            Self::QuickGelu => layers::quick_gelu(x),
            Self::Gelu => layers::gelu_erf(x),
            Self::GeluTanh => layers::gelu_tanh(x),
        }
    }
}
