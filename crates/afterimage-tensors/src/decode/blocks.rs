//! GGML's blocks of 32 numbers: a scale, perhaps a minimum, and the numbers' bits. Of two numbers in one byte the lower
//! bits belong to the first half of the block.

use super::floats::f16;
use super::group::Group;
use crate::element::GROUP;

/// The f16 that starts at byte `at`.
#[inline(always)]
pub(super) fn half_at(block: &[u8], at: usize) -> f32 {
    f16(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// The 32 numbers of 4 bits in the last 16 bytes.
#[inline(always)]
fn nibbles<const BYTES: usize>(block: &[u8; BYTES]) -> [u8; GROUP] {
    let packed = &block[BYTES - 16..];
    let mut bits = [0; GROUP];
    let (low, high) = bits.split_at_mut(16);
    for ((low, high), packed) in low.iter_mut().zip(high).zip(packed) {
        (*low, *high) = (packed & 15, packed >> 4);
    }
    bits
}

/// [`nibbles`] with a fifth bit each from the 4 bytes at `at`.
#[inline(always)]
fn five_bits<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> [u8; GROUP] {
    let fifth = u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    let mut bits = nibbles(block);
    for (index, bits) in bits.iter_mut().enumerate() {
        *bits |= ((fifth >> index & 1) << 4) as u8;
    }
    bits
}

/// As signed numbers, `less` taken away from each.
#[inline(always)]
fn lowered(bits: [u8; GROUP], less: i8) -> [i8; GROUP] {
    bits.map(|bits| bits.cast_signed() - less)
}

#[inline(always)]
pub(super) fn q8_0(block: &[u8; 34]) -> Group {
    let mut bits = [0; GROUP];
    for (bits, stored) in bits.iter_mut().zip(&block[2..]) {
        *bits = stored.cast_signed();
    }
    Group::even(bits, half_at(block, 0))
}

#[inline(always)]
pub(super) fn q4_0(block: &[u8; 18]) -> Group {
    Group::even(lowered(nibbles(block), 8), half_at(block, 0))
}

#[inline(always)]
pub(super) fn q4_1(block: &[u8; 20]) -> Group {
    Group::shifted(lowered(nibbles(block), 0), half_at(block, 0), -half_at(block, 2))
}

#[inline(always)]
pub(super) fn q5_0(block: &[u8; 22]) -> Group {
    Group::even(lowered(five_bits(block, 2), 16), half_at(block, 0))
}

#[inline(always)]
pub(super) fn q5_1(block: &[u8; 24]) -> Group {
    Group::shifted(lowered(five_bits(block, 4), 0), half_at(block, 0), -half_at(block, 2))
}

/// The levels of `IQ4_NL`: `kvalues_iq4nl` in `ggml-common.h`.
pub(super) const IQ4_LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

#[inline(always)]
pub(super) fn iq4_nl(block: &[u8; 18]) -> Group {
    Group::even(nibbles(block).map(|bits| IQ4_LEVELS[usize::from(bits & 15)]), half_at(block, 0))
}
