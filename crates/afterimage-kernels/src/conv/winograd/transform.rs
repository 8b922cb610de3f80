//! The one-dimensional transformations of F(4, 3), a vector at a time.
//!
//! Six numbers of the input and three of the filter become six each; the six products become four outputs. The points
//! are 0, ±1/√2, ±√2 and infinity: the usual 0, ±1, ±2 make twice the error (Barabasz, Anderson, Soodhalter and Gregg, Error
//! Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks, 2020, on how to choose them).

use crate::simd::Simd;
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Outputs of one transformation.
pub(super) const OUTPUTS: usize = 4;
/// Inputs, and products.
pub(super) const WINDOW: usize = 6;

/// `Bᵀ d`
///
/// # Safety
/// The machine has `S`'s instruction set.
#[inline(always)]
pub(super) unsafe fn input<S: Simd>(d: [S::V; WINDOW]) -> [S::V; WINDOW] {
    // SAFETY: the caller's promise.
    unsafe {
        let two_and_half = S::splat(-2.5);
        let (near, far) = (S::splat(-2.0), S::splat(-0.5));
        let near_even = S::fma(d[2], near, d[4]);
        let near_odd = S::mul(S::splat(FRAC_1_SQRT_2), S::fma(d[1], near, d[3]));
        let far_even = S::fma(d[2], far, d[4]);
        let far_odd = S::mul(S::splat(SQRT_2), S::fma(d[1], far, d[3]));
        [
            S::add(d[0], S::fma(d[2], two_and_half, d[4])),
            S::add(near_even, near_odd),
            S::sub(near_even, near_odd),
            S::add(far_even, far_odd),
            S::sub(far_even, far_odd),
            S::add(d[1], S::fma(d[3], two_and_half, d[5])),
        ]
    }
}

/// `G g`
///
/// # Safety
/// The machine has `S`'s instruction set.
#[inline(always)]
pub(super) unsafe fn filter<S: Simd>(g: [S::V; 3]) -> [S::V; WINDOW] {
    // SAFETY: the caller's promise.
    unsafe {
        let near_even = S::mul(S::splat(-2.0 / 3.0), S::fma(g[2], S::splat(0.5), g[0]));
        let near_odd = S::mul(S::splat(-2.0 / 3.0 * FRAC_1_SQRT_2), g[1]);
        let far_even = S::mul(S::splat(1.0 / 6.0), S::fma(g[2], S::splat(2.0), g[0]));
        let far_odd = S::mul(S::splat(SQRT_2 / 6.0), g[1]);
        [
            g[0],
            S::add(near_even, near_odd),
            S::sub(near_even, near_odd),
            S::add(far_even, far_odd),
            S::sub(far_even, far_odd),
            g[2],
        ]
    }
}

/// `Aᵀ m`
///
/// # Safety
/// The machine has `S`'s instruction set.
#[inline(always)]
pub(super) unsafe fn output<S: Simd>(m: [S::V; WINDOW]) -> [S::V; OUTPUTS] {
    // SAFETY: the caller's promise.
    unsafe {
        let (near_even, near_odd) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (far_even, far_odd) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        // The points' powers: 1/√2, 1/2, 1/(2√2) and √2, 2, 2√2.
        let cube = S::mul(S::splat(2.0 * SQRT_2), far_odd);
        [
            S::add(m[0], S::add(near_even, far_even)),
            S::fma(S::splat(FRAC_1_SQRT_2), near_odd, S::mul(S::splat(SQRT_2), far_odd)),
            S::fma(S::splat(0.5), near_even, S::mul(S::splat(2.0), far_even)),
            S::add(m[5], S::fma(S::splat(FRAC_1_SQRT_2 / 2.0), near_odd, cube)),
        ]
    }
}

/// `$one` of both dimensions of an array of `$from` × `$from` vectors: of its columns, then of its rows. `$value` is
/// the number at a row and column. Loops, since closures have not the instruction set of what they stand in.
macro_rules! both_dimensions {
    ($one:path, $from:expr, $to:expr, |$row:ident, $column:ident| $value:expr) => {{
        let zero = S::splat(0.0);
        let mut half = [[zero; $from]; $to];
        for $column in 0..$from {
            let mut values = [zero; $from];
            for ($row, value) in values.iter_mut().enumerate() {
                *value = $value;
            }
            let transformed = $one(values);
            for (row, half) in half.iter_mut().enumerate() {
                half[$column] = transformed[row];
            }
        }
        let mut both = [[zero; $to]; $to];
        for (both, half) in both.iter_mut().zip(&half) {
            *both = $one(*half);
        }
        both
    }};
}
pub(super) use both_dimensions;
