//! What a report says of each stage.

use serde::Serialize;

/// Milliseconds over the runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TimeSamples {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
    /// Fastest.
    pub min: f64,
    /// Middle one.
    pub median: f64,
}

impl TimeSamples {
    /// Statistics of `values`; all 0 without values.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Some(&min) = sorted.first() else { return Self::default() };
        let count = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / count;
        let variance = sorted.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        Self { mean, deviation: variance.sqrt(), min, median: sorted[sorted.len() / 2] }
    }
}

/// Of each stage: the time that its work takes at the ceilings of the same run, divided by the time that it took. Matrix
/// products and attention count at the ceiling of the numbers that are multiplied, convolutions at f32's and by their
/// definition, so that ways with fewer multiplications can exceed 1; everything else by its bytes at the speed of copies.
/// Absent for what did not run, or does no work on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StageShares {
    /// SigLIP and Redux.
    pub image_encode: Option<f64>,
    /// T5 and CLIP.
    pub text_encode: Option<f64>,
    /// VAE encoder.
    pub vae_encode: Option<f64>,
    /// Embedding the context, modulations of all steps.
    pub condition: Option<f64>,
    /// A transformer step.
    pub step: Option<f64>,
    /// VAE decoder.
    pub decode: Option<f64>,
}
