//! Norms and rotation by their formulas, in f64.

use crate::host::HostBuffer;
use crate::operation::{GroupNorm, Norm};

/// Mean and biased variance.
fn moments(x: &[f32]) -> (f64, f64) {
    let count = x.len() as f64;
    let mean = x.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    (mean, x.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count)
}

fn mean_square(x: &[f32]) -> f64 {
    x.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / x.len() as f64
}

pub(super) fn row(x: &[f32], norm: &Norm<HostBuffer>, epsilon: f32, out: &mut [f32]) {
    let epsilon = f64::from(epsilon);
    let (mean, variance) = match norm {
        Norm::Rms { .. } => (0.0, mean_square(x)),
        Norm::Layer { .. } | Norm::Modulated { .. } => moments(x),
    };
    for (index, (x, out)) in x.iter().zip(out).enumerate() {
        let normal = (f64::from(*x) - mean) / (variance + epsilon).sqrt();
        let (factor, offset) = match norm {
            Norm::Layer { weight, bias } => (f64::from(weight.numbers()[index]), f64::from(bias.numbers()[index])),
            Norm::Modulated { scale, shift } => {
                (1.0 + f64::from(scale.numbers()[index]), f64::from(shift.numbers()[index]))
            }
            Norm::Rms { weight } => (f64::from(weight.numbers()[index]), 0.0),
        };
        *out = (normal * factor + offset) as f32;
    }
}

pub(super) fn rotate(head: &mut [f32], weight: &[f32], epsilon: f32, angles: &[f64]) {
    let factor = 1.0 / (mean_square(head) + f64::from(epsilon)).sqrt();
    let (pairs, weights) = (head.as_chunks_mut::<2>().0, weight.as_chunks::<2>().0);
    for ((pair, weight), angle) in pairs.iter_mut().zip(weights).zip(angles) {
        let [x0, x1] = [0, 1].map(|index| f64::from(pair[index]) * factor * f64::from(weight[index]));
        *pair = [x0 * angle.cos() - x1 * angle.sin(), x1 * angle.cos() + x0 * angle.sin()].map(|value| value as f32);
    }
}

/// Scales, then shifts.
pub(super) fn group_affine(norm: &GroupNorm<HostBuffer>) -> Vec<f32> {
    let channels = norm.input.channels;
    let plane = norm.input.height * norm.input.width;
    let data = norm.input.view().numbers();
    let per_group = channels / norm.groups;
    let (mut scales, mut shifts) = (Vec::new(), Vec::new());
    for channel in 0..channels {
        let group = &data[channel / per_group * per_group * plane..][..per_group * plane];
        let (mean, variance) = moments(group);
        let scale = f64::from(norm.weight.numbers()[channel]) / (variance + f64::from(norm.epsilon)).sqrt();
        scales.push(scale as f32);
        shifts.push((f64::from(norm.bias.numbers()[channel]) - mean * scale) as f32);
    }
    [scales, shifts].concat()
}
