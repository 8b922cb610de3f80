//! Filter kernels and the weights of each output pixel.

use std::f64::consts::PI;

/// Fraction bits of a weight: 32 less 8 for the level and 2 for sign and overshoot.
pub(super) const WEIGHT_BITS: u32 = 32 - 8 - 2;

/// A resampling filter. When shrinking it is stretched over all source pixels that it covers (antialiasing).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Keys' cubic convolution with a = −0.5: what `SigLIP`'s preprocessing uses.
    Bicubic,
    /// Sinc windowed by sinc over three lobes: what diffusers' image processor uses.
    Lanczos,
}

impl Filter {
    /// Distance in source pixels beyond which the kernel is 0, when enlarging.
    fn support(self) -> f64 {
        match self {
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Bicubic => bicubic(x.abs()),
            Self::Lanczos => {
                if (-3.0..3.0).contains(&x) {
                    sinc(x) * sinc(x / 3.0)
                } else {
                    0.0
                }
            }
        }
    }
}

fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

/// Which source pixels make each output pixel of one axis, and with what weights.
pub(super) struct Contributions {
    /// First source pixel and number of weights, per output pixel.
    windows: Vec<(usize, usize)>,
    /// Weights in fixed point, `stride` per output pixel.
    weights: Vec<i32>,
    stride: usize,
}

impl Contributions {
    pub(super) fn new(source: usize, target: usize, filter: Filter) -> Self {
        let scale = source as f64 / target as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let stride = support.ceil() as usize * 2 + 1;
        let mut windows = Vec::with_capacity(target);
        let mut weights = vec![0; stride * target];
        let mut exact = vec![0.0; stride];
        for (index, fixed) in weights.chunks_exact_mut(stride).enumerate() {
            let center = (index as f64 + 0.5) * scale;
            // Truncation towards zero after adding a half, and clamping to the picture, as Pillow does.
            let first = (center - support + 0.5).max(0.0) as usize;
            let count = ((center + support + 0.5) as usize).min(source) - first;
            let mut sum = 0.0;
            for (offset, weight) in exact[..count].iter_mut().enumerate() {
                let distance = (offset + first) as f64 - center + 0.5;
                *weight = filter.weight(distance * (1.0 / stretch));
                sum += *weight;
            }
            for (fixed, weight) in fixed.iter_mut().zip(&exact[..count]) {
                let weight = if sum == 0.0 { *weight } else { *weight / sum };
                *fixed = to_fixed(weight);
            }
            windows.push((first, count));
        }
        Self { windows, weights, stride }
    }

    /// Number of output pixels.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// First source pixel and weights of an output pixel.
    pub(super) fn of(&self, index: usize) -> (usize, &[i32]) {
        let (first, count) = self.windows[index];
        (first, &self.weights[index * self.stride..][..count])
    }
}

/// Rounds half away from zero by truncation, as Pillow does; the last bit can differ from `round`.
fn to_fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << WEIGHT_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}
