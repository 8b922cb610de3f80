//! What the blocks of all types are made of: groups of 32 small integers with a factor for each half.

use crate::element::GROUP;

/// 32 numbers that are stored together, as integers: number `i` is `factors[i / 16] · bits[i] − offsets[i / 16]`.
///
/// Whoever multiplies with integers multiplies `bits` and brings factor and offset in once for each half, or for the whole
/// group where both halves have the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// The numbers' bits, signed where the type subtracts something from them.
    pub bits: [i8; GROUP],
    /// What an integer of the first and of the second half is worth.
    pub factors: [f32; 2],
    /// What is taken away from each number of the first and of the second half; 0 for types without a minimum.
    pub offsets: [f32; 2],
}

impl Group {
    /// Both halves alike, and no offset.
    #[inline(always)]
    pub(super) fn even(bits: [i8; GROUP], factor: f32) -> Self {
        Self { bits, factors: [factor; 2], offsets: [0.0; 2] }
    }

    /// Both halves alike.
    #[inline(always)]
    pub(super) fn shifted(bits: [i8; GROUP], factor: f32, offset: f32) -> Self {
        Self { bits, factors: [factor; 2], offsets: [offset; 2] }
    }

    /// The numbers that the integers stand for.
    #[inline(always)]
    pub(super) fn numbers(&self) -> [f32; GROUP] {
        let mut values = [0.0; GROUP];
        for half in 0..2 {
            let range = half * GROUP / 2..(half + 1) * GROUP / 2;
            let (factor, offset) = (self.factors[half], self.offsets[half]);
            for (value, bits) in values[range.clone()].iter_mut().zip(&self.bits[range]) {
                // A number of a type without offsets keeps its sign where it is zero: −0 − 0 is −0.
                *value = factor * f32::from(*bits) - offset;
            }
        }
        values
    }
}
