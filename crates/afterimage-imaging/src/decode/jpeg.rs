//! JPEG through `zune-jpeg`, with libjpeg's colour conversion.
//!
//! The crate is used directly, not through `image`, for two reasons: its strict mode refuses damaged data that would
//! otherwise come out as a half-grey picture, and it hands out the components before colour conversion. Its own
//! conversion and chroma upsampling differ from those of libjpeg (and so Pillow) by rounding, on top of what the IDCT
//! does.

use super::chroma::Plane;
use super::jpeg_markers::{ColorModel, JpegMarkers};
use super::jpeg_split::{SplitComponent, split_subsampled};
use super::pixels::shrink;
use super::samples::Samples;
use super::{Decoded, Problem, check_size};
use afterimage_core::PictureLimits;
use rayon::prelude::*;
use zune_core::bytestream::ZCursor;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

/// Scans above this are an attack: encoders write about ten, a scan script can hardly use more than this.
const SCANS: u32 = 100;

/// Pixels visited over all scans: seconds of work, and 15 scans at 100 megapixels.
const SCANNED_PIXELS: u64 = 1_500_000_000;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Problem> {
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
    let mut samples = read_samples(bytes, limits)?;
    // Rare files that cannot be taken apart keep the upsampling of the decoder.
    for component in split_subsampled(bytes).unwrap_or_default() {
        enlarge_into(&component, &mut samples, width as usize, height as usize, limits);
    }
    let samples = match markers.color {
        ColorModel::Grey => Samples::Grey(samples),
        ColorModel::Rgb => Samples::Rgb(samples),
        ColorModel::YCbCr => Samples::Rgb(shrink(samples, ycc_to_rgb)),
        ColorModel::Cmyk => Samples::Cmyk(inverted(samples)),
        ColorModel::Ycck => Samples::Cmyk(inverted_ycck_to_cmyk(samples)),
    };
    Ok(Decoded { width, height, samples })
}

/// The components as they are stored, interleaved and upsampled.
fn read_samples(bytes: &[u8], limits: &PictureLimits) -> Result<Vec<u8>, Problem> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(limits.side as usize)
        .set_max_height(limits.side as usize)
        .jpeg_set_max_scans(SCANS as usize);
    let mut headers = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    headers.decode_headers().map_err(|error| problem(&error))?;
    let stored = headers.input_colorspace().ok_or("damaged")?;
    let options = options.jpeg_set_out_colorspace(stored);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode().map_err(|error| problem(&error))
}

/// Puts an enlarged component in the place where `samples`, rows of `width` pixels, have it as the decoder enlarged it.
fn enlarge_into(component: &SplitComponent, samples: &mut [u8], width: usize, height: usize, limits: &PictureLimits) {
    let Ok(stored) = read_samples(&component.file, limits) else { return };
    let plane = Plane { samples: &stored, width: component.width as usize };
    if stored.len() != plane.width * component.height as usize {
        return;
    }
    let components = samples.len() / (width * height);
    samples.par_chunks_exact_mut(width * components).enumerate().for_each_init(
        || vec![0; 2 * plane.width],
        |row, (y, pixels)| {
            plane.enlarged_row(y, component.horizontal, component.vertical, row);
            for (pixel, &sample) in pixels.chunks_exact_mut(components).zip(&*row) {
                if let Some(place) = pixel.get_mut(component.index) {
                    *place = sample;
                }
            }
        },
    );
}

fn problem(error: &DecodeErrors) -> Problem {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    format!("damaged or truncated ({text})")
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
    samples.iter_mut().for_each(|ink| *ink = 255 - *ink);
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
