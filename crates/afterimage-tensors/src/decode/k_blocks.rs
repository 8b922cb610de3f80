//! GGML's blocks of 256 numbers, by groups of 32: the scales are numbers of few bits that are multiplied with one f16 of
//! the block. Each function decodes group `group` of 8.

use super::blocks::half_at;
use super::group::Group;
use crate::element::GROUP;

/// 16 scales and minima of 4 bits, 4 numbers a byte, f16 factor of the scales, f16 factor of the minima.
#[inline(always)]
pub(super) fn q2(block: &[u8; 84], group: usize) -> Group {
    let (scale, minimum) = (half_at(block, 80), half_at(block, 82));
    let scales = [block[2 * group], block[2 * group + 1]];
    let packed = &block[16 + group / 4 * GROUP..][..GROUP];
    let shift = 2 * (group % 4);
    let mut bits = [0; GROUP];
    for (bits, packed) in bits.iter_mut().zip(packed) {
        *bits = (packed >> shift & 3).cast_signed();
    }
    let factors = scales.map(|both| scale * f32::from(both & 15));
    Group { bits, factors, offsets: scales.map(|both| minimum * f32::from(both >> 4)) }
}

/// The third bits (set: nothing is taken away, clear: 4 is), 4 numbers a byte, 16 scales of 6 bits, f16 factor.
#[inline(always)]
pub(super) fn q3(block: &[u8; 110], group: usize) -> Group {
    let scale = half_at(block, 108);
    let scales = [2 * group, 2 * group + 1].map(|number| {
        let low = if number < 8 { block[96 + number] & 15 } else { block[96 + number - 8] >> 4 };
        let high = block[104 + number % 4] >> (2 * (number / 4)) & 3;
        scale * (i32::from(low | high << 4) - 32) as f32
    });
    let packed = &block[32 + group / 4 * GROUP..][..GROUP];
    let shift = 2 * (group % 4);
    let mut bits = [0; GROUP];
    for ((bits, packed), third) in bits.iter_mut().zip(packed).zip(&block[..GROUP]) {
        *bits = (packed >> shift & 3).cast_signed() - 4 * (!third >> group & 1).cast_signed();
    }
    Group { bits, factors: scales, offsets: [0.0; 2] }
}

/// The scale and the minimum of 6 bits of a group of [`q4`] or [`q5`], in 12 bytes: the last 4 groups keep their upper two
/// bits beside the first 4 groups' numbers.
#[inline(always)]
fn scale_and_minimum(packed: &[u8], group: usize) -> [f32; 2] {
    let both = if group < 4 {
        [packed[group] & 63, packed[group + 4] & 63]
    } else {
        let low = packed[group + 4];
        [low & 15 | packed[group - 4] >> 6 << 4, low >> 4 | packed[group] >> 6 << 4]
    };
    both.map(f32::from)
}

/// f16 factor of the scales, f16 factor of the minima, 8 scales and minima of 6 bits, 2 numbers a byte.
#[inline(always)]
pub(super) fn q4(block: &[u8; 144], group: usize) -> Group {
    let [scale, minimum] = scale_and_minimum(&block[4..16], group);
    let (scale, minimum) = (half_at(block, 0) * scale, half_at(block, 2) * minimum);
    let packed = &block[16 + group / 2 * GROUP..][..GROUP];
    let shift = 4 * (group % 2);
    let mut bits = [0; GROUP];
    for (bits, packed) in bits.iter_mut().zip(packed) {
        *bits = (packed >> shift & 15).cast_signed();
    }
    Group::shifted(bits, scale, minimum)
}

/// As [`q4`], with the fifth bits in 32 bytes before the others.
#[inline(always)]
pub(super) fn q5(block: &[u8; 176], group: usize) -> Group {
    let [scale, minimum] = scale_and_minimum(&block[4..16], group);
    let (scale, minimum) = (half_at(block, 0) * scale, half_at(block, 2) * minimum);
    let packed = &block[48 + group / 2 * GROUP..][..GROUP];
    let shift = 4 * (group % 2);
    let mut bits = [0; GROUP];
    for ((bits, packed), fifth) in bits.iter_mut().zip(packed).zip(&block[16..48]) {
        *bits = (packed >> shift & 15 | (fifth >> group & 1) << 4).cast_signed();
    }
    Group::shifted(bits, scale, minimum)
}

/// The lower 4 bits, 2 numbers a byte, the upper 2 bits, 4 numbers a byte, 16 scales of 8 bits, f16 factor.
#[inline(always)]
pub(super) fn q6(block: &[u8; 210], group: usize) -> Group {
    let scale = half_at(block, 208);
    let scales = [2 * group, 2 * group + 1].map(|number| scale * f32::from(block[192 + number].cast_signed()));
    let (half, quarter) = (group / 4, group % 4);
    let low = &block[64 * half + 32 * (quarter % 2)..][..GROUP];
    let high = &block[128 + 32 * half..][..GROUP];
    let (low_shift, high_shift) = (4 * (quarter / 2), 2 * quarter);
    let mut bits = [0; GROUP];
    for ((bits, low), high) in bits.iter_mut().zip(low).zip(high) {
        *bits = (low >> low_shift & 15 | (high >> high_shift & 3) << 4).cast_signed() - 32;
    }
    Group { bits, factors: scales, offsets: [0.0; 2] }
}
