//! The activation functions of the encoders' feed-forward layers.

use serde::{Deserialize, Serialize};

/// An activation, by the names that transformers' configurations use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfiguredActivation {
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

impl From<ConfiguredActivation> for afterimage_device::Activation {
    fn from(activation: ConfiguredActivation) -> Self {
        match activation {
            ConfiguredActivation::QuickGelu => Self::QuickGelu,
            ConfiguredActivation::Gelu => Self::Gelu,
            ConfiguredActivation::GeluTanh => Self::GeluTanh,
        }
    }
}
