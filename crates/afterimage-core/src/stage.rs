//! Stages of a generation and their times.

use serde::{Deserialize, Serialize};

/// A stage of a generation, for progress displays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Building models.
    Load,
    /// SigLIP and Redux, or the VAE encoder.
    ImageEncode,
    /// T5 and CLIP.
    TextEncode,
    /// Transformer steps.
    Denoise,
    /// VAE decoder.
    Decode,
    /// Safety checkers.
    Safety,
}

/// Wall-clock milliseconds of the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Building models.
    pub load_ms: f64,
    /// SigLIP and Redux, or the VAE encoder.
    pub image_encode_ms: f64,
    /// T5 and CLIP.
    pub text_encode_ms: f64,
    /// All transformer steps, and previews between them.
    pub denoise_ms: f64,
    /// VAE decoder.
    pub decode_ms: f64,
    /// Safety checkers, over all pictures; 0 when none looked.
    pub safety_ms: f64,
    /// From the call to the finished pictures.
    pub total_ms: f64,
}
