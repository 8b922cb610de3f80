//! PNG through the `png` crate, whose text and profile chunks can be left alone (they may inflate to gigabytes).

use super::defect::Defect;
use super::limits::{check_size, working_memory};
use super::samples::{Decoded, Samples};
use afterimage_core::PictureLimits;
use png::{BitDepth, Decoder, DecodingError, Limits, Transformations};
use std::io::Cursor;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Defect> {
    // The decoder would first complain about the checksum that a patched header no longer has.
    if let Ok((width, height)) = stored_size(bytes) {
        check_size(width, height, limits)?;
    }
    check_chunks(bytes)?;
    let memory = usize::try_from(working_memory(limits)).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: memory });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let header = decoder.read_header_info().map_err(|error| defect(&error))?;
    let (width, height) = (header.width, header.height);
    check_size(width, height, limits)?;
    let mut reader = decoder.read_info().map_err(|error| defect(&error))?;
    let wrap: fn(Vec<u8>) -> Samples = match reader.output_color_type() {
        (png::ColorType::Grayscale, BitDepth::Eight) => Samples::Grey,
        (png::ColorType::GrayscaleAlpha, BitDepth::Eight) => Samples::GreyAlpha,
        (png::ColorType::Rgb, BitDepth::Eight) => Samples::Rgb,
        (png::ColorType::Rgba, BitDepth::Eight) => Samples::Rgba,
        (color, depth) => return Err(format!("of an unsupported kind ({color:?}, {depth:?})")),
    };
    let length = reader.output_buffer_size().ok_or_else(|| "too large".to_owned())?;
    let mut samples = vec![0; length];
    reader.next_frame(&mut samples).map_err(|error| defect(&error))?;
    Ok(Decoded { width, height, samples: wrap(samples) })
}

/// Width and height in the header chunk, which comes first.
pub(super) fn stored_size(bytes: &[u8]) -> Result<(u32, u32), Defect> {
    big_endian_u32(bytes, 16).zip(big_endian_u32(bytes, 20)).ok_or_else(|| "truncated".to_owned())
}

/// Walks the chunk headers to the end chunk: a file that stops before it is truncated, even if all pixels are there.
fn check_chunks(bytes: &[u8]) -> Result<(), Defect> {
    const SIGNATURE_BYTES: usize = 8;
    // Length, type and checksum around the data.
    const CHUNK_OVERHEAD: usize = 12;
    let mut rest = bytes.get(SIGNATURE_BYTES..).unwrap_or_default();
    while let Some(length) = big_endian_u32(rest, 0) {
        let chunk = (length as usize).saturating_add(CHUNK_OVERHEAD);
        if rest.len() < chunk {
            break;
        }
        if rest[4..].starts_with(b"IEND") {
            return Ok(());
        }
        rest = &rest[chunk..];
    }
    Err("truncated".to_owned())
}

fn big_endian_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn defect(error: &DecodingError) -> Defect {
    match error {
        DecodingError::IoError(_) => "truncated".to_owned(),
        DecodingError::LimitsExceeded => "needs too much memory to decode".to_owned(),
        _ => format!("damaged ({error})"),
    }
}
