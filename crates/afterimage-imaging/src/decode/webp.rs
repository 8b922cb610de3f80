//! WebP through the `image` crate, after a walk over the container.

use super::defect::{Defect, image_defect};
use super::limits::check_size;
use super::samples::{Decoded, Samples};
use afterimage_core::PictureLimits;
use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;
use std::io::Cursor;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Defect> {
    check_container(bytes, limits)?;
    let decoder = decoder(bytes)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let color = decoder.color_type();
    let length = usize::try_from(decoder.total_bytes()).map_err(|_| "too large".to_owned())?;
    let mut samples = vec![0; length];
    decoder.read_image(&mut samples).map_err(|error| image_defect(&error))?;
    let samples = Samples::from_image(color, samples).ok_or_else(|| "of an unsupported kind".to_owned())?;
    Ok(Decoded { width, height, samples })
}

/// Width and height of the canvas.
pub(super) fn canvas_size(bytes: &[u8]) -> Result<(u32, u32), Defect> {
    Ok(decoder(bytes)?.dimensions())
}

fn decoder(bytes: &[u8]) -> Result<WebPDecoder<Cursor<&[u8]>>, Defect> {
    WebPDecoder::new(Cursor::new(bytes)).map_err(|error| image_defect(&error))
}

/// Checks that every chunk lies inside the file and that no bitstream claims more pixels than allowed; the decoder
/// takes memory for a bitstream's own size before it compares it with the canvas.
fn check_container(bytes: &[u8], limits: &PictureLimits) -> Result<(), Defect> {
    const RIFF_HEADER_BYTES: usize = 12;
    const ANIMATION_FRAME_HEADER_BYTES: usize = 16;
    let declared = little_endian_u32(bytes, 4).map_or(0, |size| size as usize).saturating_add(8);
    let inside = bytes.get(RIFF_HEADER_BYTES..declared).ok_or_else(|| "truncated".to_owned())?;
    for (name, data) in chunks(inside)? {
        match &name {
            b"ANMF" => {
                for (name, data) in chunks(data.get(ANIMATION_FRAME_HEADER_BYTES..).unwrap_or_default())? {
                    check_bitstream(name, data, limits)?;
                }
            }
            _ => check_bitstream(name, data, limits)?,
        }
    }
    Ok(())
}

type Chunk<'a> = ([u8; 4], &'a [u8]);

/// Splits a run of chunks; each has a name, a length and data padded to an even length.
fn chunks(mut bytes: &[u8]) -> Result<Vec<Chunk<'_>>, Defect> {
    const HEADER_BYTES: usize = 8;
    let mut found = Vec::new();
    while let Some((&name, _)) = bytes.split_first_chunk::<4>() {
        let length = little_endian_u32(bytes, 4).ok_or_else(|| "truncated".to_owned())? as usize;
        let end = HEADER_BYTES.saturating_add(length);
        let data = bytes.get(HEADER_BYTES..end).ok_or_else(|| "truncated".to_owned())?;
        found.push((name, data));
        bytes = bytes.get(end.saturating_add(length % 2)..).unwrap_or_default();
    }
    Ok(found)
}

/// The size in a VP8 key frame (RFC 6386, section 9.1) or VP8L header (14 bits each, less one).
fn check_bitstream(name: [u8; 4], data: &[u8], limits: &PictureLimits) -> Result<(), Defect> {
    let size = match &name {
        b"VP8 " => little_endian_u32(data, 6).map(|packed| (packed & 0x3fff, packed >> 16 & 0x3fff)),
        b"VP8L" => little_endian_u32(data, 1).map(|packed| ((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1)),
        _ => return Ok(()),
    };
    let (width, height) = size.ok_or_else(|| "truncated".to_owned())?;
    check_size(width, height, limits)
}

fn little_endian_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}
