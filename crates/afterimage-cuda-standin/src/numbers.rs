//! Types of numbers as kernels load and store them.

use afterimage_tensors::{Element, to_f32};
use half::bf16;

/// A type of number in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StandInNumber {
    F32,
    Bf16,
    F16,
    /// e4m3
    F8,
    I8,
    /// Whole numbers up to 2²⁴ survive as f32.
    I32,
}

/// The largest e4m3.
const LARGEST_F8: f32 = 448.0;

impl StandInNumber {
    /// A type as names of variants spell it.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "f32" => Some(Self::F32),
            "bf16" => Some(Self::Bf16),
            "f8" => Some(Self::F8),
            "i8" => Some(Self::I8),
            _ => None,
        }
    }

    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::Bf16 | Self::F16 => 2,
            Self::F8 | Self::I8 => 1,
        }
    }

    /// Stored numbers as f32, exactly; lengths fit.
    pub(crate) fn decode(self, bytes: &[u8], values: &mut [f32]) {
        match self {
            Self::F32 => to_f32(bytes, Element::F32, values),
            Self::Bf16 => to_f32(bytes, Element::Bf16, values),
            Self::F16 => to_f32(bytes, Element::F16, values),
            Self::F8 => to_f32(bytes, Element::F8E4M3, values),
            Self::I8 => values.iter_mut().zip(bytes).for_each(|(value, byte)| *value = f32::from(*byte as i8)),
            Self::I32 => {
                for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *value = i32::from_le_bytes(*bytes) as f32;
                }
            }
        }
    }

    /// f32 as stored numbers, rounded to nearest, halves to even; lengths fit.
    pub(crate) fn encode(self, values: &[f32], bytes: &mut [u8]) {
        match self {
            Self::F32 => {
                for (value, bytes) in values.iter().zip(bytes.as_chunks_mut::<4>().0) {
                    *bytes = value.to_le_bytes();
                }
            }
            Self::Bf16 => {
                for (value, bytes) in values.iter().zip(bytes.as_chunks_mut::<2>().0) {
                    *bytes = bf16_bits(*value).to_le_bytes();
                }
            }
            Self::F16 => {
                for (value, bytes) in values.iter().zip(bytes.as_chunks_mut::<2>().0) {
                    *bytes = half::f16::from_f32(*value).to_le_bytes();
                }
            }
            Self::F8 => values.iter().zip(bytes).for_each(|(value, byte)| *byte = f8_bits(*value)),
            Self::I8 => {
                for (value, byte) in values.iter().zip(bytes) {
                    *byte = (value.round_ties_even() as i8) as u8;
                }
            }
            Self::I32 => {
                for (value, bytes) in values.iter().zip(bytes.as_chunks_mut::<4>().0) {
                    *bytes = (*value as i32).to_le_bytes();
                }
            }
        }
    }

    /// What a number with all bits set, the poison, looks like as f32; `None` for types in which it is an ordinary number.
    pub(crate) const fn poison(self) -> Option<u32> {
        match self {
            Self::F32 => Some(0xffff_ffff),
            Self::Bf16 => Some(0xffff_0000),
            Self::F16 | Self::F8 | Self::I8 | Self::I32 => None,
        }
    }
}

fn bf16_bits(value: f32) -> u16 {
    if value.is_nan() {
        return bf16::from_f32(value).to_bits();
    }
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The nearest bf16.
pub(crate) fn round_to_bf16(values: &mut [f32]) {
    for value in values {
        *value = f32::from_bits(u32::from(bf16_bits(*value)) << 16);
    }
}

/// The nearest e4m3; what is too large becomes the largest.
fn f8_bits(value: f32) -> u8 {
    let sign = ((value.to_bits() >> 24) & 0x80) as u8;
    if value.is_nan() {
        return sign | 0x7f;
    }
    let magnitude = value.abs().min(LARGEST_F8);
    // Multiples of 2⁻⁹ below the smallest normal number, 2⁻⁶.
    if magnitude < 1.0 / 64.0 {
        return sign | (magnitude * 512.0).round_ties_even() as u8;
    }
    let bits = magnitude.to_bits();
    let rounded = bits + 0x7_ffff + (bits >> 20 & 1);
    sign | ((rounded >> 20) - ((127 - 7) << 3)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f8_comes_back_and_what_lies_between_goes_to_the_nearest() {
        let mut all = [0.0; 256];
        StandInNumber::F8.decode(&std::array::from_fn::<u8, 256, _>(|bits| bits as u8), &mut all);
        for (bits, value) in all.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            assert_eq!(usize::from(f8_bits(*value)), bits, "{value}");
        }
        let positive = &all[..0x7f];
        for (bits, pair) in positive.windows(2).enumerate() {
            let middle = f32::midpoint(pair[0], pair[1]);
            let even = if bits % 2 == 0 { bits } else { bits + 1 };
            assert_eq!(usize::from(f8_bits(middle)), even, "{middle}");
            assert_eq!(usize::from(f8_bits(middle * 1.0001)), bits + 1);
            assert_eq!(usize::from(f8_bits(-middle * 0.9999)), bits | 0x80);
        }
        assert_eq!((f8_bits(1e9), f8_bits(f32::NAN) & 0x7f), (0x7e, 0x7f));
    }

    #[test]
    fn bf16_is_rounded_as_the_crate_half_does() {
        for bits in
            (0..u32::MAX - 9973).step_by(9973).chain([0x7f7f_ffff, 0x7f80_0000, u32::MAX, 0x3f80_8000, 0x3f81_8000])
        {
            let value = f32::from_bits(bits);
            assert_eq!(bf16_bits(value), bf16::from_f32(value).to_bits(), "{bits:#x}");
        }
    }

    #[test]
    fn the_poison_is_recognised() {
        for number in [StandInNumber::F32, StandInNumber::Bf16] {
            let mut value = [0.0];
            number.decode(&[0xff; 4][..number.bytes()], &mut value);
            assert_eq!(Some(value[0].to_bits()), number.poison());
        }
    }
}
