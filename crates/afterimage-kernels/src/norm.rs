//! Normalisations, modulation and rotary embedding: passes over activations that are bound by memory, each done once.

use crate::conv::Planes;
use crate::simd::{Isa, Kernel, Simd, dispatch_on};
use rayon::prelude::*;

/// Rows that one task of a row-wise pass handles.
const ROWS_PER_TASK: usize = 32;

/// `out[row] = layer_norm(x[row]) * (1 + scale) + shift` without learned affine: adaptive layer norm as every FLUX
/// block uses it. `x` and `out` are `[rows, width]` without gaps, `scale` and `shift` have `width` numbers.
///
/// # Panics
/// When a length does not fit.
pub fn modulated_layer_norm(isa: Isa, x: &[f32], scale: &[f32], shift: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = scale.len();
    assert!(
        width > 0 && shift.len() == width && x.len() == out.len() && x.len().is_multiple_of(width),
        "rows of {width}"
    );
    x.par_chunks(width * ROWS_PER_TASK).zip(out.par_chunks_mut(width * ROWS_PER_TASK)).for_each(|(x, out)| {
        dispatch_on(isa, Modulate { x, scale, shift, epsilon, out });
    });
}

struct Modulate<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl Kernel for Modulate<'_> {
    type Output = ();

    // Plain loops: compiled for the instruction set, they vectorise by themselves.
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = self.scale.len();
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let mean = lane_sum(x, |value| value) / width as f32;
            let variance = lane_sum(x, |value| (value - mean) * (value - mean)) / width as f32;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            for (((out, x), scale), shift) in out.iter_mut().zip(x).zip(self.scale).zip(self.shift) {
                *out = (x - mean) * factor * (1.0 + scale) + shift;
            }
        }
    }
}

/// Sum of `f(value)` in 32 independent lanes, which a compiler may keep in vectors.
#[inline(always)]
fn lane_sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; 32];
    let (chunks, rest) = values.as_chunks::<32>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += f(*value);
    }
    lanes.iter().sum()
}

/// Tables of the rotary embedding: for each token `head_dim / 2` cosines and sines.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    /// `[tokens, head_dim]`: each cosine twice.
    cosines: Vec<f32>,
    /// `[tokens, head_dim]`: −sine, sine, −sine, sine, …
    sines: Vec<f32>,
    head_dim: usize,
}

impl RotaryTable {
    /// Builds the table from angles `[tokens, head_dim / 2]` in f64, the precision diffusers computes them in.
    ///
    /// # Panics
    /// When `angles` is not a whole number of tokens.
    pub fn new(angles: &[f64], head_dim: usize) -> Self {
        assert!(head_dim >= 2 && head_dim.is_multiple_of(2) && angles.len().is_multiple_of(head_dim / 2), "angles");
        let cosines = angles.iter().flat_map(|angle| [angle.cos() as f32; 2]).collect();
        let sines = angles.iter().flat_map(|angle| [-angle.sin() as f32, angle.sin() as f32]).collect();
        Self { cosines, sines, head_dim }
    }

    /// Tokens in the table.
    pub fn tokens(&self) -> usize {
        self.cosines.len() / self.head_dim
    }

    /// Width of the heads that it rotates.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }
}

/// Normalises (RMS, with `weight`) and rotates every head of some tokens in place.
///
/// `data` starts at the first token's first head; tokens are `stride` apart, heads side by side, and the last token may be
/// cut after its last head. Token `t` uses row `first_token + t` of the table. Rotation is of interleaved pairs:
/// `(x₀, x₁) → (x₀ cos − x₁ sin, x₁ cos + x₀ sin)`.
///
/// # Panics
/// When a length does not fit.
#[expect(clippy::too_many_arguments, reason = "rows, heads in them, the norm and the table are of different owners")]
pub fn rms_norm_rotate(
    isa: Isa,
    data: &mut [f32],
    stride: usize,
    heads: usize,
    weight: &[f32],
    epsilon: f32,
    table: &RotaryTable,
    first_token: usize,
) {
    let head_dim = table.head_dim;
    assert_eq!(weight.len(), head_dim, "norm weight");
    if data.is_empty() {
        return;
    }
    let tokens = data.len().div_ceil(stride);
    let last = data.len() - (tokens - 1) * stride;
    assert!(heads * head_dim <= last, "heads inside rows");
    assert!(first_token + tokens <= table.tokens(), "table of {} tokens", table.tokens());
    data.par_chunks_mut(stride * ROWS_PER_TASK).enumerate().for_each(|(block, data)| {
        let first_token = first_token + block * ROWS_PER_TASK;
        dispatch_on(isa, Rotate { data, stride, heads, weight, epsilon, table, first_token });
    });
}

struct Rotate<'a> {
    data: &'a mut [f32],
    stride: usize,
    heads: usize,
    weight: &'a [f32],
    epsilon: f32,
    table: &'a RotaryTable,
    first_token: usize,
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let dim = self.weight.len();
        for (token, row) in self.data.chunks_mut(self.stride).enumerate() {
            let table = (self.first_token + token) * dim;
            let (cosines, sines) = (&self.table.cosines[table..][..dim], &self.table.sines[table..][..dim]);
            for head in row[..self.heads * dim].chunks_exact_mut(dim) {
                let mean_square = lane_sum(head, |value| value * value) / dim as f32;
                let factor = 1.0 / (mean_square + self.epsilon).sqrt();
                for (value, weight) in head.iter_mut().zip(self.weight) {
                    *value *= factor * weight;
                }
                let (heads, cosines, sines) =
                    (head.as_chunks_mut::<2>().0, cosines.as_chunks::<2>().0, sines.as_chunks::<2>().0);
                for ((pair, cosine), sine) in heads.iter_mut().zip(cosines).zip(sines) {
                    let [first, second] = *pair;
                    *pair = [first * cosine[0] + second * sine[0], second * cosine[1] + first * sine[1]];
                }
            }
        }
    }
}

/// Folds a group norm of `input` with learned `weight` and `bias` into one scale and shift a channel:
/// `normalised = x * scale[channel] + shift[channel]`. Sums are taken in f64.
///
/// # Panics
/// When a length does not fit or the groups do not divide the channels.
pub fn group_norm_affine(
    isa: Isa,
    input: Planes,
    groups: usize,
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
) -> (Vec<f32>, Vec<f32>) {
    let plane = input.height * input.width;
    assert!(groups > 0 && input.channels.is_multiple_of(groups), "{groups} groups of {} channels", input.channels);
    assert!(weight.len() == input.channels && bias.len() == input.channels, "weight and bias per channel");
    assert_eq!(input.data.len(), input.channels * plane, "input planes");
    let per_group = input.channels / groups * plane;
    let statistics: Vec<(f64, f64)> = input
        .data
        .par_chunks(per_group.max(1))
        .map(|group| {
            let (sum, squares) = group
                .par_chunks(1 << 16)
                .map(|part| dispatch_on(isa, Moments(part)))
                .reduce(|| (0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            let mean = sum / per_group as f64;
            (mean, (squares / per_group as f64 - mean * mean).max(0.0))
        })
        .collect();
    let mut scale = Vec::with_capacity(input.channels);
    let mut shift = Vec::with_capacity(input.channels);
    for channel in 0..input.channels {
        let (mean, variance) = statistics[channel / (input.channels / groups)];
        let factor = f64::from(weight[channel]) / (variance + f64::from(epsilon)).sqrt();
        scale.push(factor as f32);
        shift.push((f64::from(bias[channel]) - mean * factor) as f32);
    }
    (scale, shift)
}

/// Sum and sum of squares.
struct Moments<'a>(&'a [f32]);

impl Kernel for Moments<'_> {
    type Output = (f64, f64);

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> (f64, f64) {
        let mut sums = [0.0_f64; 16];
        let mut squares = [0.0_f64; 16];
        let (chunks, rest) = self.0.as_chunks::<16>();
        for chunk in chunks {
            for ((value, sum), square) in chunk.iter().zip(&mut sums).zip(&mut squares) {
                let value = f64::from(*value);
                *sum += value;
                *square += value * value;
            }
        }
        for value in rest {
            sums[0] += f64::from(*value);
            squares[0] += f64::from(*value) * f64::from(*value);
        }
        (sums.iter().sum(), squares.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::tests::noise;

    fn assert_close(got: &[f32], expected: &[f64]) {
        for (got, expected) in got.iter().zip(expected) {
            assert!((f64::from(*got) - expected).abs() < 2e-5 * expected.abs().max(1.0), "{got}, expected {expected}");
        }
    }

    #[test]
    fn modulated_layer_norm_follows_its_formula() {
        let (rows, width) = (67, 75);
        let x: Vec<f32> = noise(rows * width, 41).iter().map(|value| value * 3.0 + 1.0).collect();
        let (scale, shift) = (noise(width, 42), noise(width, 43));
        for isa in Isa::available() {
            let mut out = vec![0.0; x.len()];
            modulated_layer_norm(isa, &x, &scale, &shift, 1e-6, &mut out);
            for (x, out) in x.chunks_exact(width).zip(out.chunks_exact(width)) {
                let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / width as f64;
                let variance = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / width as f64;
                let expected: Vec<f64> = (0..width)
                    .map(|i| {
                        let normal = (f64::from(x[i]) - mean) / (variance + 1e-6).sqrt();
                        normal * (1.0 + f64::from(scale[i])) + f64::from(shift[i])
                    })
                    .collect();
                assert_close(out, &expected);
            }
        }
    }

    #[test]
    fn rms_norm_and_rotation_follow_their_formulas() {
        let (tokens, heads, dim, stride, offset) = (41, 3, 20, 3 * 20 * 3 + 1, 61);
        let before = noise(tokens * stride, 44);
        let weight = noise(dim, 45);
        let angles: Vec<f64> = noise((tokens + 5) * dim / 2, 46).iter().map(|a| f64::from(*a) * 30.0).collect();
        let table = RotaryTable::new(&angles, dim);
        for isa in Isa::available() {
            let mut data = before.clone();
            rms_norm_rotate(isa, &mut data[offset..], stride, heads, &weight, 1e-6, &table, 5);
            for token in 0..tokens {
                for head in 0..heads {
                    let x = &before[token * stride + offset + head * dim..][..dim];
                    let square = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / dim as f64;
                    let normal = |i: usize| f64::from(x[i]) / (square + 1e-6).sqrt() * f64::from(weight[i]);
                    let expected: Vec<f64> = (0..dim)
                        .map(|i| {
                            let angle = angles[(token + 5) * dim / 2 + i / 2];
                            if i % 2 == 0 {
                                normal(i) * angle.cos() - normal(i + 1) * angle.sin()
                            } else {
                                normal(i) * angle.cos() + normal(i - 1) * angle.sin()
                            }
                        })
                        .collect();
                    assert_close(&data[token * stride + offset + head * dim..][..dim], &expected);
                }
            }
            for (index, (after, before)) in data.iter().zip(&before).enumerate() {
                let inside = (offset..offset + heads * dim).contains(&(index % stride));
                assert!(inside || after.to_bits() == before.to_bits(), "{isa:?}: number {index} is not a head's");
            }
        }
    }

    #[test]
    fn group_norm_follows_its_formula() {
        let (channels, height, width, groups) = (12, 7, 9, 4);
        // A large mean shows whether the variance cancels.
        let data: Vec<f32> = noise(channels * height * width, 47).iter().map(|v| v * 0.5 + 100.0).collect();
        let (weight, bias) = (noise(channels, 48), noise(channels, 49));
        let input = Planes { data: &data, channels, height, width };
        for isa in Isa::available() {
            let (scale, shift) = group_norm_affine(isa, input, groups, &weight, &bias, 1e-6);
            let per_group = channels / groups * height * width;
            for (index, value) in data.iter().enumerate() {
                let group = &data[index / per_group * per_group..][..per_group];
                let mean = group.iter().map(|v| f64::from(*v)).sum::<f64>() / per_group as f64;
                let variance = group.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / per_group as f64;
                let channel = index / (height * width);
                let expected = (f64::from(*value) - mean) / (variance + 1e-6).sqrt() * f64::from(weight[channel])
                    + f64::from(bias[channel]);
                let got = f64::from(*value) * f64::from(scale[channel]) + f64::from(shift[channel]);
                assert!((got - expected).abs() < 1e-4, "{isa:?}: {got}, expected {expected}");
            }
        }
    }
}
