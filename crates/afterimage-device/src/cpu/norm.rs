//! Normalisation over the last dimension.

use super::rows::map;
use crate::host::HostBuffer;
use crate::operation::Norm;
use crate::view::{View, ViewMut};
use afterimage_kernels::norm::modulated_layer_norm;
use afterimage_kernels::simd::Isa;

pub(super) fn norm(isa: Isa, x: View<HostBuffer>, norm: &Norm<HostBuffer>, epsilon: f32, mut out: ViewMut<HostBuffer>) {
    match norm {
        Norm::Layer { weight, bias } => {
            let (weight, bias) = (weight.numbers(), bias.numbers());
            map(x, out, |row, out| layer_norm(row, weight, bias, epsilon, out));
        }
        Norm::Rms { weight } => {
            let weight = weight.numbers();
            map(x, out, |row, out| rms_norm(row, weight, epsilon, out));
        }
        Norm::Modulated { scale, shift } => {
            let (scale, shift) = (scale.numbers(), shift.numbers());
            let gapless = x.rows <= 1 || (x.stride == x.cols && out.stride == out.cols);
            if gapless {
                modulated_layer_norm(isa, x.numbers(), scale, shift, epsilon, out.numbers());
            } else {
                map(x, out, |row, out| modulated_layer_norm(isa, row, scale, shift, epsilon, out));
            }
        }
    }
}

/// One row; sums are taken in f64.
fn layer_norm(row: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = row.len() as f64;
    let mean = row.iter().map(|value| f64::from(*value)).sum::<f64>() / width;
    let squares = row.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>();
    let factor = 1.0 / (squares / width + f64::from(epsilon)).sqrt();
    for (((out, x), weight), bias) in out.iter_mut().zip(row).zip(weight).zip(bias) {
        *out = ((f64::from(*x) - mean) * factor) as f32 * weight + bias;
    }
}

/// One row; the sum is taken in f64.
fn rms_norm(row: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let squares = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    let factor = (1.0 / (squares / row.len() as f64 + f64::from(epsilon)).sqrt()) as f32;
    for ((out, x), weight) in out.iter_mut().zip(row).zip(weight) {
        *out = x * factor * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [f32; 4] = [1.0, 2.0, 4.0, -3.0];
    const WEIGHT: [f32; 4] = [1.0, 0.5, 2.0, -1.0];

    fn assert_close(found: &[f32], expected: &[f32]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 2e-6 * expected.abs().max(1.0), "{found}, expected {expected}");
        }
    }

    #[test]
    fn layer_norm_gives_torchs_values() {
        let (bias, mut out) = ([0.0, 1.0, -1.0, 0.25], [0.0; 4]);
        layer_norm(&ROW, &WEIGHT, &bias, 1e-5, &mut out);
        assert_close(&out, &[0.0, 1.196_116, 1.353_391_8, 1.818_927_9]);
        layer_norm(&ROW.map(|value| value * 1e-3), &WEIGHT, &bias, 1e-5, &mut out);
        assert_close(&out, &[0.0, 1.123_091_5, 0.477_097_9, 1.234_731_9]);
    }

    #[test]
    fn rms_norm_gives_transformers_values() {
        let mut out = [0.0; 4];
        rms_norm(&ROW, &WEIGHT, 1e-6, &mut out);
        assert_close(&out, &[0.365_148_35, 0.365_148_35, 2.921_186_8, 1.095_445]);
    }
}
