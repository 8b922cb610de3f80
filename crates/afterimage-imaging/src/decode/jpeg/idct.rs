//! The inverse cosine transform of libjpeg ("islow", after Loeffler, Ligtenberg and Moschytz), to the bit.
//!
//! Where hostile coefficients overflow, the sums wrap and saturate as they do in libjpeg-turbo's vector code.

use super::block::{Block, Quantizers};

/// Bits behind the point of the constants below.
const CONSTANT_BITS: u32 = 13;
// Sums of cosines of multiples of pi/16 times the square root of 2, under the names that libjpeg gives them.
const FIX_0_298631336: i32 = 2446;
const FIX_0_390180644: i32 = 3196;
const FIX_0_541196100: i32 = 4433;
const FIX_0_765366865: i32 = 6270;
const FIX_0_899976223: i32 = 7373;
const FIX_1_175875602: i32 = 9633;
const FIX_1_501321110: i32 = 12299;
const FIX_1_847759065: i32 = 15137;
const FIX_1_961570560: i32 = 16069;
const FIX_2_053119869: i32 = 16819;
const FIX_2_562915447: i32 = 20995;
const FIX_3_072711026: i32 = 25172;
/// Bits behind the point between the two passes.
const BETWEEN_BITS: u32 = 2;

/// Eight lines of eight values, one value of each line after the other, so that lines can be transformed side by side.
type Lines<T> = [[T; 8]; 8];

/// Samples of a block, row by row.
pub(super) fn inverse(block: &Block, quantizers: &Quantizers) -> [[u8; 8]; 8] {
    // Lines are the columns.
    let mut values: Lines<i16> = [[0; 8]; 8];
    // Most blocks have nothing but the first row, or even the first coefficient.
    if block[8..].iter().all(|&coefficient| coefficient == 0) {
        let row = std::array::from_fn(|x| dequantized(block, quantizers, x) << BETWEEN_BITS);
        if block[1..8].iter().all(|&coefficient| coefficient == 0) {
            return [[sample(descaled(row[0].into(), BETWEEN_BITS + 3)); 8]; 8];
        }
        values = [row; 8];
    } else {
        for (y, values) in values.iter_mut().enumerate() {
            *values = std::array::from_fn(|x| dequantized(block, quantizers, 8 * y + x));
        }
        values =
            transformed(&values).map(|row| row.map(|value| saturated(descaled(value, CONSTANT_BITS - BETWEEN_BITS))));
    }
    // Now they are the rows.
    let samples = transformed(&transposed(&values))
        .map(|column| column.map(|value| sample(descaled(value, CONSTANT_BITS + BETWEEN_BITS + 3))));
    transposed(&samples)
}

fn transposed<T: Copy>(lines: &Lines<T>) -> Lines<T> {
    std::array::from_fn(|x| std::array::from_fn(|y| lines[y][x]))
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

/// The transforms of eight lines, scaled by 2^`CONSTANT_BITS` and the square root of 8.
fn transformed(lines: &Lines<i16>) -> Lines<i32> {
    let mut output = [[0; 8]; 8];
    // The compiler makes vectors of this loop.
    for line in 0..8 {
        let result = transformed_line(std::array::from_fn(|index| lines[index][line]));
        for (output, value) in output.iter_mut().zip(result) {
            output[line] = value;
        }
    }
    output
}

/// The transform of one line.
#[inline]
fn transformed_line([in0, in1, in2, in3, in4, in5, in6, in7]: [i16; 8]) -> [i32; 8] {
    let times = |value: i16, factor: i32| i32::from(value).wrapping_mul(factor);

    let rotated = times(in2, FIX_0_541196100).wrapping_add(times(in6, FIX_0_541196100));
    let even2 = rotated.wrapping_sub(times(in6, FIX_1_847759065));
    let even3 = rotated.wrapping_add(times(in2, FIX_0_765366865));
    let even0 = i32::from(in0.wrapping_add(in4)) << CONSTANT_BITS;
    let even1 = i32::from(in0.wrapping_sub(in4)) << CONSTANT_BITS;
    let sum0 = even0.wrapping_add(even3);
    let sum1 = even1.wrapping_add(even2);
    let sum2 = even1.wrapping_sub(even2);
    let sum3 = even0.wrapping_sub(even3);

    let (upper, lower) = (in7.wrapping_add(in3), in5.wrapping_add(in1));
    let rotated = times(upper, FIX_1_175875602).wrapping_add(times(lower, FIX_1_175875602));
    let upper = rotated.wrapping_sub(times(upper, FIX_1_961570560));
    let lower = rotated.wrapping_sub(times(lower, FIX_0_390180644));
    let outer = times(in7, FIX_0_899976223).wrapping_add(times(in1, FIX_0_899976223));
    let inner = times(in5, FIX_2_562915447).wrapping_add(times(in3, FIX_2_562915447));
    let odd0 = times(in1, FIX_1_501321110).wrapping_sub(outer).wrapping_add(lower);
    let odd1 = times(in3, FIX_3_072711026).wrapping_sub(inner).wrapping_add(upper);
    let odd2 = times(in5, FIX_2_053119869).wrapping_sub(inner).wrapping_add(lower);
    let odd3 = times(in7, FIX_0_298631336).wrapping_sub(outer).wrapping_add(upper);

    [
        sum0.wrapping_add(odd0),
        sum1.wrapping_add(odd1),
        sum2.wrapping_add(odd2),
        sum3.wrapping_add(odd3),
        sum3.wrapping_sub(odd3),
        sum2.wrapping_sub(odd2),
        sum1.wrapping_sub(odd1),
        sum0.wrapping_sub(odd0),
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
