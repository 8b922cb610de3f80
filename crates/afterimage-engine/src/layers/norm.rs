//! Normalisation over the last dimension with learned weights.

use super::NUMBERS_PER_TASK;
use rayon::prelude::*;

/// Layer norm (Ba, Kiros and Hinton, 2016) of every row of `x [rows, width]`:
/// `(x − mean) / √(variance + epsilon) · weight + bias`, with the biased variance. Sums are taken in f64.
///
/// # Panics
/// When `x` is not a whole number of rows of `weight.len()`, or `bias` is shorter.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> Vec<f32> {
    assert_eq!(weight.len(), bias.len(), "weight and bias");
    map_rows(x, weight.len(), |row, out| {
        let width = row.len() as f64;
        let mean = row.iter().map(|value| f64::from(*value)).sum::<f64>() / width;
        let squares = row.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>();
        let factor = 1.0 / (squares / width + f64::from(epsilon)).sqrt();
        for (((out, x), weight), bias) in out.iter_mut().zip(row).zip(weight).zip(bias) {
            *out = ((f64::from(*x) - mean) * factor) as f32 * weight + bias;
        }
    })
}

/// Root-mean-square norm (Zhang and Sennrich, 2019) of every row of `x [rows, width]`:
/// `x / √(mean(x²) + epsilon) · weight`. Sums are taken in f64.
///
/// # Panics
/// When `x` is not a whole number of rows of `weight.len()`.
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    map_rows(x, weight.len(), |row, out| {
        let squares = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        let factor = (1.0 / (squares / row.len() as f64 + f64::from(epsilon)).sqrt()) as f32;
        for ((out, x), weight) in out.iter_mut().zip(row).zip(weight) {
            *out = x * factor * weight;
        }
    })
}

fn map_rows(x: &[f32], width: usize, function: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width}");
    let task = NUMBERS_PER_TASK.div_ceil(width) * width;
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(|(out, x)| {
        for (out, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            function(row, out);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROW: [f32; 4] = [1.0, 2.0, 4.0, -3.0];
    const WEIGHT: [f32; 4] = [1.0, 0.5, 2.0, -1.0];

    fn assert_close(found: &[f32], expected: &[f32]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 2e-6 * expected.abs().max(1.0), "{found}, expected {expected}");
        }
    }

    #[test]
    fn layer_norm_gives_torchs_values() {
        let bias = [0.0, 1.0, -1.0, 0.25];
        assert_close(&layer_norm(&ROW, &WEIGHT, &bias, 1e-5), &[0.0, 1.196_116, 1.353_391_8, 1.818_927_9]);
        let small = ROW.map(|value| value * 1e-3);
        assert_close(&layer_norm(&small, &WEIGHT, &bias, 1e-5), &[0.0, 1.123_091_5, 0.477_097_9, 1.234_731_9]);
    }

    #[test]
    fn rms_norm_gives_transformers_values() {
        assert_close(&rms_norm(&ROW, &WEIGHT, 1e-6), &[0.365_148_35, 0.365_148_35, 2.921_186_8, 1.095_445]);
    }

    proptest! {
        #[test]
        fn rows_do_not_influence_each_other(rows in 1_usize..600, width in 1_usize..70) {
            let x: Vec<f32> = (0..rows * width).map(|index| ((index * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
            let (weight, bias) = (vec![1.5; width], vec![0.5; width]);
            let all = layer_norm(&x, &weight, &bias, 1e-6);
            let last = layer_norm(&x[(rows - 1) * width..], &weight, &bias, 1e-6);
            prop_assert_eq!(&all[(rows - 1) * width..], &last[..]);
            let all = rms_norm(&x, &weight, 1e-6);
            let last = rms_norm(&x[(rows - 1) * width..], &weight, 1e-6);
            prop_assert_eq!(&all[(rows - 1) * width..], &last[..]);
        }
    }
}
