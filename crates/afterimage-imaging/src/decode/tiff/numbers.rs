//! Samples that are no shares of white: floating point, signed and 32-bit numbers.

use super::super::defect::Defect;
use super::super::samples::Samples;
use super::layout::{Alpha, PageLayout, Photometric};
use super::sample_format::SampleFormat;
use half::f16;

/// Unpacks a row of samples in one of the wide formats.
pub(super) fn unpack(row: &[u8], layout: &PageLayout, numbers: &mut Vec<f32>) {
    let order = layout.order();
    numbers.clear();
    match (layout.sample_format, layout.bits) {
        (SampleFormat::Floating, 16) => {
            numbers.extend(row.as_chunks().0.iter().map(|bytes| f16::from_bits(order.u16(*bytes)).to_f32()));
        }
        (SampleFormat::Floating, 32) => {
            numbers.extend(row.as_chunks().0.iter().map(|bytes| f32::from_bits(order.u32(*bytes))));
        }
        (SampleFormat::Floating, _) => {
            numbers.extend(row.as_chunks().0.iter().map(|bytes| f64::from_bits(order.u64(*bytes)) as f32));
        }
        (SampleFormat::Signed, 16) => {
            numbers.extend(row.as_chunks().0.iter().map(|bytes| f32::from(order.u16(*bytes) as i16)));
        }
        (SampleFormat::Signed, _) => {
            numbers.extend(row.as_chunks().0.iter().map(|bytes| order.u32(*bytes) as i32 as f32));
        }
        _ => numbers.extend(row.as_chunks().0.iter().map(|bytes| order.u32(*bytes) as f32)),
    }
}

/// Numbers up to 255 are levels, which Pillow takes all such numbers for; floating-point ones up to 1 are shares of
/// white, as every program that edits pictures writes them. What is in neither range has no white of its own.
pub(super) fn to_samples(layout: &PageLayout, numbers: &[f32]) -> Result<Samples, Defect> {
    let channels = layout.kept_channels();
    if !matches!(layout.photometric, Photometric::WhiteIsZero | Photometric::BlackIsZero | Photometric::Rgb) {
        return Err("numbers of more than 16 bits with these colours; save it as 8-bit or 16-bit".to_owned());
    }
    let (low, high) = numbers
        .iter()
        .filter(|number| !number.is_nan())
        .fold((f32::MAX, f32::MIN), |(low, high), number| (low.min(*number), high.max(*number)));
    let scale = match layout.sample_format {
        SampleFormat::Floating if (0.0..=1.0).contains(&low) && high <= 1.0 => 255.0,
        SampleFormat::Floating if high > 1.0 && high < 2.0 => return Err(no_white(low, high)),
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

fn no_white(low: f32, high: f32) -> Defect {
    format!("holds numbers from {low} to {high}, of which none is white; bring them to 0 to 255, or to 8 or 16 bits")
}
