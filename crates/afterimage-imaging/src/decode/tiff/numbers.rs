//! Samples that are no shares of white: floating point, signed and 32-bit numbers.

use super::super::Problem;
use super::super::samples::Samples;
use super::layout::{Alpha, Layout, Photometric};
use half::f16;

/// What kind of numbers the samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    Unsigned,
    /// 32 bits, or of a width between.
    LongUnsigned,
    Signed,
    Floating,
}

impl Numbers {
    /// From the sample format and the bits of a sample.
    pub(super) fn new(format: u64, bits: u64) -> Result<Self, Problem> {
        let signed = |bits| matches!(bits, 16 | 32);
        match (format, bits) {
            // Undefined counts as unsigned. So do signed bytes for Pillow; nobody means negative light.
            (1 | 4, 1..=16) | (2, 8) => Ok(Self::Unsigned),
            (1 | 4, 32) => Ok(Self::LongUnsigned),
            (2, bits) if signed(bits) => Ok(Self::Signed),
            (3, 16 | 32 | 64) => Ok(Self::Floating),
            (5 | 6, _) => Err("made of complex numbers, which have no colours".to_owned()),
            (3, _) => Err(format!("floating-point samples of {bits} bits; save it as 8-bit or 16-bit")),
            _ => Err(format!("samples of {bits} bits; save it as 8-bit or 16-bit")),
        }
    }

    /// Whether samples are read as numbers first.
    pub(super) fn is_wide(self) -> bool {
        self != Self::Unsigned
    }

    /// Unpacks a row.
    pub(super) fn unpack(row: &[u8], layout: &Layout, numbers: &mut Vec<f32>) {
        let order = layout.order();
        numbers.clear();
        match (layout.numbers, layout.bits) {
            (Self::Floating, 16) => {
                numbers.extend(row.as_chunks().0.iter().map(|bytes| f16::from_bits(order.u16(*bytes)).to_f32()));
            }
            (Self::Floating, 32) => {
                numbers.extend(row.as_chunks().0.iter().map(|bytes| f32::from_bits(order.u32(*bytes))));
            }
            (Self::Floating, _) => {
                numbers.extend(row.as_chunks().0.iter().map(|bytes| f64::from_bits(order.u64(*bytes)) as f32));
            }
            (Self::Signed, 16) => {
                numbers.extend(row.as_chunks().0.iter().map(|bytes| f32::from(order.u16(*bytes) as i16)));
            }
            (Self::Signed, _) => {
                numbers.extend(row.as_chunks().0.iter().map(|bytes| order.u32(*bytes) as i32 as f32));
            }
            _ => numbers.extend(row.as_chunks().0.iter().map(|bytes| order.u32(*bytes) as f32)),
        }
    }
}

/// Numbers up to 255 are levels, which Pillow takes all such numbers for; floating-point ones up to 1 are shares of
/// white, as every program that edits pictures writes them. What is in neither range has no white of its own.
pub(super) fn to_samples(layout: &Layout, numbers: &[f32]) -> Result<Samples, Problem> {
    let channels = layout.kept_channels();
    if !matches!(layout.photometric, Photometric::WhiteIsZero | Photometric::BlackIsZero | Photometric::Rgb) {
        return Err("numbers of more than 16 bits with these colours; save it as 8-bit or 16-bit".to_owned());
    }
    let (low, high) = numbers
        .iter()
        .filter(|number| !number.is_nan())
        .fold((f32::MAX, f32::MIN), |(low, high), number| (low.min(*number), high.max(*number)));
    let scale = match layout.numbers {
        Numbers::Floating if (0.0..=1.0).contains(&low) && high <= 1.0 => 255.0,
        Numbers::Floating if high > 1.0 && high < 2.0 => return Err(no_white(low, high)),
        _ if low >= 0.0 && high <= 255.0 => 1.0,
        _ => return Err(no_white(low, high)),
    };
    // Whole levels are kept and what lies between is cut, as Pillow does; shares are rounded.
    let half = if scale > 1.0 { 0.5 } else { 0.0 };
    let bytes: Vec<u8> = numbers.iter().map(|number| (number * scale + half) as u8).collect();
    Ok(match (channels, layout.alpha) {
        (1, _) => Samples::Grey(bytes),
        (2, _) => Samples::GreyAlpha(super::color::separated::<2>(bytes, layout.alpha)),
        (3, _) => Samples::Rgb(bytes),
        (_, alpha @ (Alpha::None | Alpha::Unassociated | Alpha::Associated)) => {
            Samples::Rgba(super::color::separated::<4>(bytes, alpha))
        }
    })
}

fn no_white(low: f32, high: f32) -> Problem {
    format!("holds numbers from {low} to {high}, of which none is white; bring them to 0 to 255, or to 8 or 16 bits")
}
