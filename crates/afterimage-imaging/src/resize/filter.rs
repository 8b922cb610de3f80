//! Filter kernels and the weights of each output pixel.

use std::f64::consts::PI;
use std::ops::Range;

/// Fraction bits of a weight: 32 less 8 for the level and 2 for sign and overshoot.
pub(super) const WEIGHT_BITS: u32 = 32 - 8 - 2;

/// Lower bits of a weight that are kept apart from its upper, signed part, so that each fits into 16 bits.
pub(super) const FINE_BITS: u32 = 11;

/// A resampling filter. When shrinking it is stretched over all source pixels that it covers (antialiasing).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// A triangle: linear interpolation where nothing shrinks. What `open_nsfw` and vision transformers were trained with.
    Bilinear,
    /// Keys' cubic convolution with a = −0.5: what `SigLIP`'s preprocessing uses.
    Bicubic,
    /// Sinc windowed by sinc over three lobes: what diffusers' image processor uses.
    Lanczos,
}

impl Filter {
    /// Distance in source pixels beyond which the kernel is 0, when enlarging.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
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
    /// Upper parts of the weights, `stride` per output pixel.
    coarse: Vec<i16>,
    /// Lower [`FINE_BITS`] of the weights.
    fine: Vec<i16>,
    stride: usize,
}

/// What one output pixel is made of. A weight is `coarse << FINE_BITS + fine`, in units of 2^-[`WEIGHT_BITS`].
pub(super) struct FilterWeights<'a> {
    pub(super) first: usize,
    pub(super) coarse: &'a [i16],
    pub(super) fine: &'a [i16],
}

impl Contributions {
    /// Of the output pixels `part` of an axis that shrinks or grows from `source` to `target` pixels.
    pub(super) fn new(source: usize, target: usize, part: Range<usize>, filter: Filter) -> Self {
        let scale = source as f64 / target as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let stride = support.ceil() as usize * 2 + 1;
        let mut windows = Vec::with_capacity(part.len());
        let mut coarse = vec![0; stride * part.len()];
        let mut fine = vec![0; stride * part.len()];
        let mut exact = vec![0.0; stride];
        for (place, index) in part.enumerate() {
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
            for (offset, weight) in exact[..count].iter().enumerate() {
                let fixed = to_fixed(if sum == 0.0 { *weight } else { *weight / sum });
                coarse[place * stride + offset] = (fixed >> FINE_BITS) as i16;
                fine[place * stride + offset] = (fixed & ((1 << FINE_BITS) - 1)) as i16;
            }
            windows.push((first, count));
        }
        Self { windows, coarse, fine, stride }
    }

    /// Number of output pixels.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// The source pixels of an output pixel.
    pub(super) fn of(&self, index: usize) -> FilterWeights<'_> {
        let (first, count) = self.windows[index];
        let start = index * self.stride;
        FilterWeights { first, coarse: &self.coarse[start..start + count], fine: &self.fine[start..start + count] }
    }
}

/// Rounds half away from zero by truncation, as Pillow does; the last bit can differ from `round`.
fn to_fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << WEIGHT_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}
