//! The inverse cosine transform of libjpeg ("islow", after Loeffler, Ligtenberg and Moschytz), to the bit.
//!
//! Where hostile coefficients overflow, the sums wrap and saturate as they do in libjpeg-turbo's vector code.

use super::{Block, Quantizers};

/// Bits behind the point of the constants below.
const CONSTANT_BITS: u32 = 13;
/// Bits behind the point between the two passes.
const BETWEEN_BITS: u32 = 2;

/// Samples of a block, row by row.
pub(super) fn inverse(block: &Block, quantizers: &Quantizers) -> [[u8; 8]; 8] {
    if block[1..].iter().all(|&coefficient| coefficient == 0) {
        let dc = i32::from(dequantized(block, quantizers, 0)) << BETWEEN_BITS;
        return [[sample(descaled(dc, BETWEEN_BITS + 3)); 8]; 8];
    }
    let mut columns = [[0_i32; 8]; 8];
    for (x, column) in columns.iter_mut().enumerate() {
        let input: [i16; 8] = std::array::from_fn(|y| dequantized(block, quantizers, 8 * y + x));
        *column = if input[1..].iter().all(|&coefficient| coefficient == 0) {
            [i32::from(input[0]) << BETWEEN_BITS; 8]
        } else {
            transformed(input).map(|value| descaled(value, CONSTANT_BITS - BETWEEN_BITS))
        };
    }
    std::array::from_fn(|y| {
        let input = std::array::from_fn(|x| saturated(columns[x][y]));
        transformed(input).map(|value| sample(descaled(value, CONSTANT_BITS + BETWEEN_BITS + 3)))
    })
}

#[inline]
fn dequantized(block: &Block, quantizers: &Quantizers, place: usize) -> i16 {
    block[place].wrapping_mul(quantizers[place].cast_signed())
}

/// Divided by 2^`bits`, rounded to nearest.
#[inline]
fn descaled(value: i32, bits: u32) -> i32 {
    value.wrapping_add(1 << (bits - 1)) >> bits
}

#[inline]
fn saturated(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

#[inline]
fn sample(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}

/// The transform of one line, scaled by 2^`CONSTANT_BITS` and the square root of 8.
#[inline]
fn transformed(input: [i16; 8]) -> [i32; 8] {
    const fn fixed(value: f64) -> i32 {
        (value * (1 << CONSTANT_BITS) as f64 + 0.5) as i32
    }
    let times = |value: i16, factor: i32| i32::from(value).wrapping_mul(factor);
    let sum = |terms: &[i32]| terms.iter().fold(0_i32, |sum, &term| sum.wrapping_add(term));
    let [in0, in1, in2, in3, in4, in5, in6, in7] = input;

    let shared = sum(&[times(in2, fixed(0.541_196_100)), times(in6, fixed(0.541_196_100))]);
    let even2 = sum(&[shared, times(in6, -fixed(1.847_759_065))]);
    let even3 = sum(&[shared, times(in2, fixed(0.765_366_865))]);
    let even0 = i32::from(in0.wrapping_add(in4)) << CONSTANT_BITS;
    let even1 = i32::from(in0.wrapping_sub(in4)) << CONSTANT_BITS;
    let outer = (even0.wrapping_add(even3), even0.wrapping_sub(even3));
    let inner = (even1.wrapping_add(even2), even1.wrapping_sub(even2));

    let (odd3, odd4) = (in7.wrapping_add(in3), in5.wrapping_add(in1));
    let shared = sum(&[times(odd3, fixed(1.175_875_602)), times(odd4, fixed(1.175_875_602))]);
    let odd3 = sum(&[shared, times(odd3, -fixed(1.961_570_560))]);
    let odd4 = sum(&[shared, times(odd4, -fixed(0.390_180_644))]);
    let odd1 = sum(&[times(in7, -fixed(0.899_976_223)), times(in1, -fixed(0.899_976_223))]);
    let odd2 = sum(&[times(in5, -fixed(2.562_915_447)), times(in3, -fixed(2.562_915_447))]);
    let odd7 = sum(&[times(in7, fixed(0.298_631_336)), odd1, odd3]);
    let odd5 = sum(&[times(in5, fixed(2.053_119_869)), odd2, odd4]);
    let odd_3 = sum(&[times(in3, fixed(3.072_711_026)), odd2, odd3]);
    let odd_1 = sum(&[times(in1, fixed(1.501_321_110)), odd1, odd4]);

    [
        outer.0.wrapping_add(odd_1),
        inner.0.wrapping_add(odd_3),
        inner.1.wrapping_add(odd5),
        outer.1.wrapping_add(odd7),
        outer.1.wrapping_sub(odd7),
        inner.1.wrapping_sub(odd5),
        inner.0.wrapping_sub(odd_3),
        outer.0.wrapping_sub(odd_1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// T.81, A.3.3, in floating point.
    fn exact(block: &Block) -> [[f64; 8]; 8] {
        let scale = |index: usize| if index == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let cosine = |at: usize, index: usize| ((2 * at + 1) as f64 * index as f64 * PI / 16.0).cos();
        std::array::from_fn(|y| {
            std::array::from_fn(|x| {
                let terms = (0..64).map(|place| {
                    let (v, u) = (place / 8, place % 8);
                    scale(u) * scale(v) * f64::from(block[place]) * cosine(x, u) * cosine(y, v)
                });
                (terms.sum::<f64>() / 4.0 + 128.0).clamp(0.0, 255.0)
            })
        })
    }

    #[test]
    fn samples_are_within_one_level_of_the_exact_ones() {
        let mut state = 1_u32;
        let mut random = |range: i32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as i32 % (2 * range + 1) - range
        };
        for filled in [1, 3, 10, 64] {
            for _ in 0..200 {
                let block: Block = std::array::from_fn(|place| if place < filled { random(120) as i16 } else { 0 });
                let (samples, exact) = (inverse(&block, &[1; 64]), exact(&block));
                for (samples, exact) in samples.iter().zip(exact) {
                    for (&sample, exact) in samples.iter().zip(exact) {
                        assert!((f64::from(sample) - exact).abs() < 1.0, "{sample} for {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn hostile_coefficients_do_not_overflow() {
        for value in [i16::MIN, i16::MAX, 12_345] {
            inverse(&[value; 64], &[u16::MAX; 64]);
            inverse(&[value; 64], &[1; 64]);
            inverse(&std::array::from_fn(|place| if place % 3 == 0 { value } else { -1 }), &[255; 64]);
        }
    }
}
