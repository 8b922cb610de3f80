//! JPEG, to the bit as libjpeg-turbo and so Pillow reads it (`docs/decisions/0014-jpeg.md`).
//!
//! Baseline, extended sequential and progressive files of 8 bits a sample, with Huffman or arithmetic coding, in any
//! order of scans. Follows ITU-T T.81; where the standard leaves the result open (inverse transform, enlargement of
//! chroma, colour conversion, what an unfinished progressive file lacks) it computes as libjpeg-turbo does.

mod accuracy;
mod arithmetic;
mod arithmetic_states;
mod bits;
mod block;
mod coefficients;
mod damage;
mod frame;
mod huffman;
mod idct;
mod markers;
mod planes;
mod reconstruction;
mod scan;
mod scan_decoding;
mod smoothing;
mod standard;
mod upsampling;

use super::defect::Defect;
use super::limits::check_size;
use super::samples::{Decoded, Samples};
use afterimage_core::PictureLimits;
use markers::ColorModel;
pub(super) use markers::JpegMarkers;
use planes::read_planes;

/// Scans above this are an attack: encoders write about ten, a scan script can hardly use more than this.
const SCANS: u32 = 100;

/// Pixels visited over all scans: seconds of work, and 15 scans at 100 megapixels.
const SCANNED_PIXELS: u64 = 1_500_000_000;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Defect> {
    let markers = JpegMarkers::read(bytes)?;
    let (width, height) = (markers.width, markers.height);
    check_size(width, height, limits)?;
    // A picture that was cut off but ended properly decodes without complaint, with one colour in place of the rest. At
    // least a header that promises far more than there is must not lead to that.
    if markers.coded_bits < markers.least_bits {
        return Err("truncated".to_owned());
    }
    let scanned = u64::from(width) * u64::from(height) * u64::from(markers.scans);
    if markers.scans > SCANS || scanned > SCANNED_PIXELS {
        return Err(format!("{} scans are too many for its size", markers.scans));
    }
    let planes = read_planes(bytes, limits)?;
    let samples = match markers.color {
        ColorModel::Grey => Samples::Grey(planes.interleaved()),
        ColorModel::Rgb => Samples::Rgb(planes.to_rgb(|pixel| pixel)),
        ColorModel::YCbCr => Samples::Rgb(planes.to_rgb(ycc_to_rgb)),
        ColorModel::Cmyk => Samples::Cmyk(inverted(planes.interleaved())),
        ColorModel::Ycck => Samples::Cmyk(inverted_ycck_to_cmyk(planes.interleaved())),
    };
    Ok(Decoded { width, height, samples })
}

/// ITU-R BT.601, full range, in the 16-bit fixed point of libjpeg (`jdcolor.c`).
fn ycc_to_rgb([luma, blue, red]: [u8; 3]) -> [u8; 3] {
    const BITS: u32 = 16;
    const HALF: i32 = 1 << (BITS - 1);
    // round(x * 65536) of 1.402, 1.772, 0.71414 and 0.34414.
    const RED: i32 = 91_881;
    const BLUE: i32 = 116_130;
    const GREEN_FROM_RED: i32 = 46_802;
    const GREEN_FROM_BLUE: i32 = 22_554;
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    [
        luma + ((RED * red + HALF) >> BITS),
        luma + ((HALF - GREEN_FROM_BLUE * blue - GREEN_FROM_RED * red) >> BITS),
        luma + ((BLUE * blue + HALF) >> BITS),
    ]
    .map(|value| value.clamp(0, 255) as u8)
}

/// Pillow takes every CMYK JPEG for one with Adobe's inverted polarity: 0 is full ink.
fn inverted(mut samples: Vec<u8>) -> Vec<u8> {
    for ink in &mut samples {
        *ink = 255 - *ink;
    }
    samples
}

/// Luminance and colours of what full ink leaves, and inverted black.
fn inverted_ycck_to_cmyk(mut samples: Vec<u8>) -> Vec<u8> {
    for [luma, blue, red, black] in samples.as_chunks_mut::<4>().0 {
        // Converted they are the inverse of inverted inks, so the inks themselves.
        [*luma, *blue, *red] = ycc_to_rgb([*luma, *blue, *red]);
        *black = 255 - *black;
    }
    samples
}
