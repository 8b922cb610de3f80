//! A second decoder, written from the formats' definitions one number at a time: the oracle of tests.

use super::blocks::IQ4_LEVELS;
use super::*;
use half::f16;

/// Number `index` of the row stored in `bytes`.
pub fn number(bytes: &[u8], element: Element, index: usize) -> f32 {
    let at = |start: usize, len: usize| &bytes[start..start + len];
    match element {
        Element::F32 => f32::from_le_bytes(at(index * 4, 4).try_into().unwrap()),
        Element::Bf16 => f32::from_bits(u32::from(u16::from_le_bytes(at(index * 2, 2).try_into().unwrap())) << 16),
        Element::F16 => half(at(index * 2, 2)),
        Element::F8E4M3 => e4m3(bytes[index]),
        Element::F8E5M2 => f16::from_bits(u16::from(bytes[index]) << 8).to_f32(),
        _ => {
            let (block, size) = (element.block(), element.block_bytes());
            in_block(at(index / block * size, size), element, index % block)
        }
    }
}

fn half(bytes: &[u8]) -> f32 {
    f16::from_bits(u16::from_le_bytes([bytes[0], bytes[1]])).to_f32()
}

/// `count` bits from bit `first` on.
fn bits(bytes: &[u8], first: usize, count: usize) -> i32 {
    (first..first + count).rev().fold(0, |value, bit| value << 1 | i32::from(bytes[bit / 8] >> (bit % 8) & 1))
}

fn in_block(block: &[u8], element: Element, index: usize) -> f32 {
    // Of the types with 32 numbers: which bit the number's four start at, counted from the nibbles' first byte.
    let nibble = 8 * (index % 16) + 4 * (index / 16);
    let group = index / 32;
    match element {
        Element::Q8_0 => half(block) * f32::from(block[2 + index] as i8),
        Element::Q4_0 => half(block) * (bits(&block[2..], nibble, 4) - 8) as f32,
        Element::Q4_1 => half(block) * bits(&block[4..], nibble, 4) as f32 + half(&block[2..]),
        Element::Q5_0 => half(block) * (bits(&block[6..], nibble, 4) + 16 * bits(&block[2..], index, 1) - 16) as f32,
        Element::Q5_1 => {
            let number = bits(&block[8..], nibble, 4) + 16 * bits(&block[4..], index, 1);
            half(block) * number as f32 + half(&block[2..])
        }
        Element::Iq4Nl => half(block) * f32::from(IQ4_LEVELS[bits(&block[2..], nibble, 4) as usize]),
        Element::Q2K => {
            let number = bits(&block[16 + index / 128 * 32 + index % 32..], 2 * (group % 4), 2);
            let both = block[index / 16];
            half(&block[80..]) * f32::from(both % 16) * number as f32 - half(&block[82..]) * f32::from(both / 16)
        }
        Element::Q3K => {
            let number = bits(&block[32 + index / 128 * 32 + index % 32..], 2 * (group % 4), 2);
            let third = bits(&block[index % 32..], group, 1);
            let part = index / 16;
            let low = bits(&block[96 + part % 8..], part / 8 * 4, 4);
            let scale = low + 16 * bits(&block[104 + part % 4..], part / 4 * 2, 2) - 32;
            half(&block[108..]) * scale as f32 * (number + 4 * third - 4) as f32
        }
        Element::Q4K | Element::Q5K => {
            let fifth = if element == Element::Q5K { bits(&block[16 + index % 32..], group, 1) } else { 0 };
            let fours = if element == Element::Q5K { &block[48..] } else { &block[16..] };
            let number = 16 * fifth + bits(&fours[index / 64 * 32 + index % 32..], group % 2 * 4, 4);
            let packed = &block[4..16];
            let six = |offset: usize| {
                if group < 4 {
                    bits(&packed[group + offset..], 0, 6)
                } else {
                    bits(&packed[group + 4..], offset, 4) + 16 * bits(&packed[group - 4 + offset..], 6, 2)
                }
            };
            half(block) * six(0) as f32 * number as f32 - half(&block[2..]) * six(4) as f32
        }
        Element::Q6K => {
            let in_half = index % 128;
            let low = bits(&block[index / 128 * 64 + in_half % 64..], in_half / 64 * 4, 4);
            let high = bits(&block[128 + index / 128 * 32 + in_half % 32..], in_half / 32 * 2, 2);
            half(&block[208..]) * f32::from(block[192 + index / 16] as i8) * (low + 16 * high - 32) as f32
        }
        _ => unreachable!("{element:?} has no blocks"),
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
