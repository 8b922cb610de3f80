//! From stored numbers to f32.

use crate::element::Element;
use half::{bf16, f16};

/// Converts stored numbers to f32. Inlined so that it is compiled for the instruction set of whoever packs with it.
///
/// # Panics
/// When `out` is not whole blocks, or `bytes` does not hold exactly `out.len()` numbers.
#[expect(clippy::inline_always, reason = "the hot loop of every packer, in another crate")]
#[inline(always)]
pub fn to_f32(bytes: &[u8], element: Element, out: &mut [f32]) {
    assert_eq!(Some(bytes.len()), element.row_bytes(out.len()), "stored numbers");
    match element {
        Element::F32 => {
            for (value, stored) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*stored);
            }
        }
        Element::Bf16 => {
            for (value, stored) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = bf16::from_le_bytes(*stored).to_f32();
            }
        }
        Element::F16 => {
            for (value, stored) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = f16::from_le_bytes(*stored).to_f32();
            }
        }
        Element::F8E4M3 => {
            for (value, stored) in out.iter_mut().zip(bytes) {
                *value = E4M3[usize::from(*stored)];
            }
        }
        Element::F8E5M2 => {
            for (value, stored) in out.iter_mut().zip(bytes) {
                *value = E5M2[usize::from(*stored)];
            }
        }
        Element::Q8_0 => {
            for (values, stored) in out.as_chunks_mut::<32>().0.iter_mut().zip(bytes.as_chunks::<34>().0) {
                let [low, high, bits @ ..] = stored;
                let scale = f16::from_le_bytes([*low, *high]).to_f32();
                for (value, bits) in values.iter_mut().zip(bits) {
                    *value = scale * f32::from(bits.cast_signed());
                }
            }
        }
    }
}

/// What each byte is worth as e4m3.
static E4M3: [f32; 256] = float8_values(4, false);
/// What each byte is worth as e5m2.
static E5M2: [f32; 256] = float8_values(5, true);

/// All values of a floating-point type of 8 bits with `exponent_bits` of exponent. Either all numbers with the largest
/// exponent are infinities or NaN, as in IEEE 754, or only those with all bits set are NaN.
const fn float8_values(exponent_bits: u32, ieee: bool) -> [f32; 256] {
    let mantissa_bits = 7 - exponent_bits;
    let bias = (1 << (exponent_bits - 1)) - 1;
    let (largest_exponent, largest_mantissa) = ((1 << exponent_bits) - 1, (1 << mantissa_bits) - 1);
    let mut values = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        let exponent = (byte as u32 >> mantissa_bits) & largest_exponent;
        let mantissa = byte as u32 & largest_mantissa;
        let special = exponent == largest_exponent && (ieee || mantissa == largest_mantissa);
        let magnitude = if special && mantissa == 0 {
            f32::INFINITY
        } else if special {
            f32::NAN
        } else if exponent == 0 {
            // Subnormal: no leading one, and the exponent of the smallest normal number.
            mantissa as f32 * power_of_two(1 - bias - mantissa_bits as i32)
        } else {
            (largest_mantissa + 1 + mantissa) as f32 * power_of_two(exponent as i32 - bias - mantissa_bits as i32)
        };
        values[byte] = if byte >= 128 { -magnitude } else { magnitude };
        byte += 1;
    }
    values
}

/// 2 to `exponent`, which is that of a normal f32.
const fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((127 + exponent) as u32) << 23)
}

/// A second decoder, written from the formats' definitions one number at a time: the oracle of tests.
#[cfg(test)]
pub(crate) mod plain {
    use super::*;

    /// Number `index` of the row stored in `bytes`.
    pub fn number(bytes: &[u8], element: Element, index: usize) -> f32 {
        let at = |start: usize, len: usize| &bytes[start..start + len];
        match element {
            Element::F32 => f32::from_le_bytes(at(index * 4, 4).try_into().unwrap()),
            Element::Bf16 => f32::from_bits(u32::from(u16::from_le_bytes(at(index * 2, 2).try_into().unwrap())) << 16),
            Element::F16 => f16::from_bits(u16::from_le_bytes(at(index * 2, 2).try_into().unwrap())).to_f32(),
            Element::F8E4M3 => e4m3(bytes[index]),
            Element::F8E5M2 => f16::from_bits(u16::from(bytes[index]) << 8).to_f32(),
            Element::Q8_0 => {
                let block = at(index / 32 * 34, 34);
                let scale = f16::from_bits(u16::from_le_bytes([block[0], block[1]])).to_f32();
                scale * f32::from(block[2 + index % 32] as i8)
            }
        }
    }

    fn e4m3(byte: u8) -> f32 {
        let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
        let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
        match (exponent, mantissa) {
            (15, 7.0) => f32::NAN,
            (0, _) => sign * mantissa / 8.0 * 2.0_f32.powi(-6),
            _ => sign * (1.0 + mantissa / 8.0) * 2.0_f32.powi(exponent - 7),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(values: &[f32]) -> Vec<u32> {
        // Every NaN counts as the same one.
        values.iter().map(|value| if value.is_nan() { u32::MAX } else { value.to_bits() }).collect()
    }

    #[test]
    fn known_numbers_of_eight_bits() {
        let value = |element: Element, byte: u8| {
            let mut value = [0.0];
            to_f32(&[byte], element, &mut value);
            value[0]
        };
        // The extremes as the paper's table 1 lists them.
        for (byte, expected) in
            [(0x7e, 448.0), (0x08, 2.0_f32.powi(-6)), (0x01, 2.0_f32.powi(-9)), (0xb8, -1.0), (0x80, -0.0)]
        {
            assert_eq!(value(Element::F8E4M3, byte).to_bits(), f32::to_bits(expected), "e4m3 {byte:#x}");
        }
        for (byte, expected) in
            [(0x7b, 57_344.0), (0x04, 2.0_f32.powi(-14)), (0x01, 2.0_f32.powi(-16)), (0xfc, f32::NEG_INFINITY)]
        {
            assert_eq!(value(Element::F8E5M2, byte).to_bits(), f32::to_bits(expected), "e5m2 {byte:#x}");
        }
        assert!(value(Element::F8E4M3, 0xff).is_nan() && value(Element::F8E5M2, 0x7d).is_nan());
    }

    #[test]
    fn every_byte_agrees_with_the_plain_decoder() {
        let bytes: Vec<u8> = (0..=255).collect();
        for element in [Element::F8E4M3, Element::F8E5M2] {
            let mut values = vec![0.0; 256];
            to_f32(&bytes, element, &mut values);
            let expected: Vec<f32> = (0..256).map(|index| plain::number(&bytes, element, index)).collect();
            assert_eq!(bits(&values), bits(&expected), "{element:?}");
        }
    }

    #[test]
    #[should_panic(expected = "stored numbers")]
    fn a_block_cannot_be_cut() {
        to_f32(&[0; 34], Element::Q8_0, &mut [0.0; 31]);
    }

    proptest! {
        #[test]
        fn decoding_agrees_with_the_plain_decoder(
            element in prop::sample::select(&Element::ALL[..]),
            blocks in 0_usize..5,
            seed in prop::collection::vec(any::<u8>(), 5 * 34),
        ) {
            let bytes = &seed[..blocks * element.block_bytes()];
            let mut values = vec![0.0; blocks * element.block()];
            to_f32(bytes, element, &mut values);
            let expected: Vec<f32> = (0..values.len()).map(|index| plain::number(bytes, element, index)).collect();
            prop_assert_eq!(bits(&values), bits(&expected));
        }
    }
}
