//! From coefficients back to samples.

use super::block::Quantizers;
use super::coefficients::Coefficients;
use super::idct::inverse;
use super::smoothing::Smoother;
use rayon::prelude::*;

/// The samples of a component, in rows of eight for each block across. `smoother` fills in what no scan told.
pub(super) fn samples(coefficients: &Coefficients, quantizers: &Quantizers, smoother: Option<&Smoother>) -> Vec<u8> {
    let stride = coefficients.columns * 8;
    let mut samples = vec![0; stride * coefficients.rows * 8];
    samples.par_chunks_exact_mut(stride * 8).enumerate().for_each(|(row, samples)| {
        for column in 0..coefficients.columns {
            let pixels = match smoother {
                Some(smoother) => inverse(&smoother.smoothed(coefficients, column, row), quantizers),
                None => inverse(coefficients.block_at(column, row), quantizers),
            };
            for (y, pixels) in pixels.iter().enumerate() {
                samples[y * stride + column * 8..][..8].copy_from_slice(pixels);
            }
        }
    });
    samples
}
