//! From stored numbers to f32.
//!
//! | file | what |
//! |---|---|
//! | `floats.rs` | floating-point numbers of 8 and 16 bits |
//! | `group.rs` | 32 integers with their factors: what blocks are made of |
//! | `blocks.rs` | GGML's blocks of 32 numbers |
//! | `k_blocks.rs` | GGML's blocks of 256 numbers |
//! | `plain.rs` | a second decoder, the oracle of tests |
//!
//! Everything is inlined, so that it is compiled for the instruction set of whoever packs with it, and written without
//! branches inside a group, so that the compiler makes vectors of it. No multiplication is fused with an addition: the
//! results are those of the Python package `gguf` to the last bit.

#![expect(clippy::inline_always, reason = "the hot loop of every packer, in another crate")]

mod blocks;
mod floats;
mod group;
mod k_blocks;
#[cfg(test)]
pub(crate) mod plain;

pub use floats::to_e4m3;
pub use group::Group;

use crate::element::{Element, GROUP};
use half::bf16;

/// Converts stored numbers to f32.
///
/// # Panics
/// When `out` is not whole blocks, or `bytes` does not hold exactly `out.len()` numbers.
#[inline(always)]
pub fn to_f32(bytes: &[u8], element: Element, out: &mut [f32]) {
    assert_eq!(Some(bytes.len()), element.row_bytes(out.len()), "stored numbers");
    part_to_f32(bytes, element, 0, out);
}

/// Converts the numbers from `first` on of those stored in `bytes`, as many as `out` takes.
///
/// # Panics
/// When `first` or the length of `out` is not a multiple of [`Element::group`], or `bytes` does not hold as many.
#[inline(always)]
pub(crate) fn part_to_f32(bytes: &[u8], element: Element, first: usize, out: &mut [f32]) {
    let group = element.group();
    assert!(first.is_multiple_of(group) && out.len().is_multiple_of(group), "groups of {group}");
    match element {
        Element::F32 => each(bytes, first, out, f32::from_le_bytes),
        Element::Bf16 => each(bytes, first, out, |stored| bf16::from_le_bytes(stored).to_f32()),
        Element::F16 => each(bytes, first, out, |stored| floats::f16(u16::from_le_bytes(stored))),
        Element::F8E4M3 => each(bytes, first, out, |[stored]| floats::e4m3(stored)),
        Element::F8E5M2 => each(bytes, first, out, |[stored]| floats::e5m2(stored)),
        _ => {
            for (values, number) in out.as_chunks_mut::<GROUP>().0.iter_mut().zip(first / GROUP..) {
                *values = group_of(bytes, element, number).numbers();
            }
        }
    }
}

/// One number after the other.
#[inline(always)]
fn each<const BYTES: usize>(bytes: &[u8], first: usize, out: &mut [f32], decode: impl Fn([u8; BYTES]) -> f32) {
    let stored = &bytes.as_chunks::<BYTES>().0[first..first + out.len()];
    for (value, stored) in out.iter_mut().zip(stored) {
        *value = decode(*stored);
    }
}

/// Group `number` of the numbers stored in `bytes`, in a type with blocks.
///
/// # Panics
/// When there is no such group, or the type has no blocks.
#[inline(always)]
pub(crate) fn group_of(bytes: &[u8], element: Element, number: usize) -> Group {
    match element {
        Element::Q8_0 => blocks::q8_0(&bytes.as_chunks().0[number]),
        Element::Q4_0 => blocks::q4_0(&bytes.as_chunks().0[number]),
        Element::Q4_1 => blocks::q4_1(&bytes.as_chunks().0[number]),
        Element::Q5_0 => blocks::q5_0(&bytes.as_chunks().0[number]),
        Element::Q5_1 => blocks::q5_1(&bytes.as_chunks().0[number]),
        Element::Iq4Nl => blocks::iq4_nl(&bytes.as_chunks().0[number]),
        Element::Q2K => k_blocks::q2(&bytes.as_chunks().0[number / 8], number % 8),
        Element::Q3K => k_blocks::q3(&bytes.as_chunks().0[number / 8], number % 8),
        Element::Q4K => k_blocks::q4(&bytes.as_chunks().0[number / 8], number % 8),
        Element::Q5K => k_blocks::q5(&bytes.as_chunks().0[number / 8], number % 8),
        Element::Q6K => k_blocks::q6(&bytes.as_chunks().0[number / 8], number % 8),
        Element::F32 | Element::Bf16 | Element::F16 | Element::F8E4M3 | Element::F8E5M2 => {
            panic!("{} has no blocks", element.name())
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
    fn numbers_of_eight_bits_are_the_nearest() {
        let all: Vec<f32> = (0..=0x7e_u8).map(floats::e4m3).collect();
        for (bits, value) in all.iter().enumerate() {
            assert_eq!((to_e4m3(*value), to_e4m3(-value)), (bits as u8, bits as u8 | 0x80), "{value}");
        }
        for pair in all.windows(2) {
            let (low, high) = (to_e4m3(pair[0]), to_e4m3(pair[1]));
            let middle = f32::midpoint(pair[0], pair[1]);
            let even = if low % 2 == 0 { low } else { high };
            assert_eq!(to_e4m3(middle), even, "{middle}");
            assert_eq!((to_e4m3(middle.next_down()), to_e4m3(middle.next_up())), (low, high), "{middle}");
        }
        assert_eq!((to_e4m3(1e9), to_e4m3(f32::NEG_INFINITY), to_e4m3(f32::NAN) & 0x7f), (0x7e, 0xfe, 0x7f));
    }

    #[test]
    fn every_float_of_one_or_two_bytes_agrees_with_the_plain_decoder() {
        let one: Vec<u8> = (0..=255).collect();
        let two: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for (element, bytes) in
            [(Element::F8E4M3, &one), (Element::F8E5M2, &one), (Element::F16, &two), (Element::Bf16, &two)]
        {
            let mut values = vec![0.0; element.numbers(bytes.len()).unwrap()];
            to_f32(bytes, element, &mut values);
            let expected: Vec<f32> = (0..values.len()).map(|index| plain::number(bytes, element, index)).collect();
            assert_eq!(bits(&values), bits(&expected), "{element:?}");
        }
    }

    /// Random blocks and the numbers that the Python package `gguf` makes of them: see `tests/fixtures`.
    #[test]
    fn blocks_agree_with_pythons_gguf_to_the_bit() {
        let fixture = include_bytes!("../../tests/fixtures/gguf_blocks.bin");
        let mut rest = fixture.as_slice();
        let mut seen = 0;
        while !rest.is_empty() {
            let (head, tail) = rest.split_first_chunk::<8>().unwrap();
            let name = std::str::from_utf8(head).unwrap().trim_end();
            let element = Element::ALL.into_iter().find(|element| element.name() == name).unwrap();
            let (count, tail) = tail.split_first_chunk::<4>().unwrap();
            let numbers = u32::from_le_bytes(*count) as usize;
            let (bytes, tail) = tail.split_at(element.row_bytes(numbers).unwrap());
            let (expected, tail) = tail.split_at(4 * numbers);
            let mut values = vec![0.0; numbers];
            to_f32(bytes, element, &mut values);
            let expected: Vec<f32> =
                expected.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            assert_eq!(bits(&values), bits(&expected), "{name}");
            seen += 1;
            rest = tail;
        }
        assert_eq!(seen, Element::ALL.iter().filter(|element| element.block() > 1).count() + 2);
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
            seed in prop::collection::vec(any::<u8>(), 5 * 210),
            [one, other] in any::<[prop::sample::Index; 2]>(),
        ) {
            let bytes = &seed[..blocks * element.block_bytes()];
            let mut values = vec![0.0; blocks * element.block()];
            to_f32(bytes, element, &mut values);
            let expected: Vec<f32> = (0..values.len()).map(|index| plain::number(bytes, element, index)).collect();
            prop_assert_eq!(bits(&values), bits(&expected));
            let groups = values.len() / element.group();
            let (one, other) = (one.index(groups + 1), other.index(groups + 1));
            let (first, last) = (one.min(other) * element.group(), one.max(other) * element.group());
            let mut part = vec![0.0; last - first];
            part_to_f32(bytes, element, first, &mut part);
            prop_assert_eq!(bits(&part), bits(&expected[first..last]));
        }
    }
}
