//! BMP through the `image` crate; bitmaps of OS/2 get the header that it knows.

use super::defect::{Defect, image_defect};
use super::limits::{check_size, working_memory};
use super::samples::{Decoded, Samples};
use afterimage_core::PictureLimits;
use image::codecs::bmp::BmpDecoder;
use image::{ImageDecoder, Limits};
use std::borrow::Cow;
use std::io::Cursor;

/// The header of a file, before that of the bitmap.
const FILE_HEADER_BYTES: usize = 14;

/// Header of a Windows bitmap, the fields of which begin that of OS/2 2 too.
const WINDOWS_HEADER_BYTES: u32 = 40;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Defect> {
    let bytes = with_windows_header(bytes)?;
    let mut decoder = decoder(&bytes)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let mut memory = Limits::default();
    memory.max_alloc = Some(working_memory(limits));
    decoder.set_limits(memory).map_err(|error| image_defect(&error))?;
    let color = decoder.color_type();
    let length = usize::try_from(decoder.total_bytes()).map_err(|_| "too large".to_owned())?;
    let mut samples = vec![0; length];
    decoder.read_image(&mut samples).map_err(|error| image_defect(&error))?;
    let samples = Samples::from_image(color, samples).ok_or_else(|| format!("of an unsupported kind ({color:?})"))?;
    Ok(Decoded { width, height, samples })
}

/// Width and height of a bitmap, from its header.
pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), Defect> {
    // The pixels are not needed, and their number would decide what a copy costs.
    const MOST_HEADER_BYTES: usize = 4096;
    let bytes = with_windows_header(&bytes[..bytes.len().min(MOST_HEADER_BYTES)])?;
    Ok(decoder(&bytes)?.dimensions())
}

fn decoder(bytes: &[u8]) -> Result<BmpDecoder<Cursor<&[u8]>>, Defect> {
    BmpDecoder::new(Cursor::new(bytes)).map_err(|error| image_defect(&error))
}

/// The header of OS/2 2 shortened to what Windows has of it.
fn with_windows_header(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Defect> {
    const OS2_HEADER_BYTES: u32 = 64;
    const OS2_SHORT_HEADER_BYTES: u32 = 16;
    let field =
        |at: usize| bytes.get(at..).and_then(|field| field.first_chunk()).map(|field| u32::from_le_bytes(*field));
    match field(FILE_HEADER_BYTES) {
        Some(OS2_HEADER_BYTES) => {}
        Some(OS2_SHORT_HEADER_BYTES) => {
            return Err("an OS/2 bitmap with a shortened header, which is not supported; save it as PNG".to_owned());
        }
        _ => return Ok(Cow::Borrowed(bytes)),
    }
    // 3 and 4 mean other things there than in Windows.
    if field(30).is_none_or(|compression| compression > 2) {
        return Err("an OS/2 bitmap in a rare compression; save it as PNG".to_owned());
    }
    let shorter = OS2_HEADER_BYTES - WINDOWS_HEADER_BYTES;
    let pixels_at = field(10).and_then(|offset| offset.checked_sub(shorter)).ok_or("damaged")?;
    let header_end = FILE_HEADER_BYTES + WINDOWS_HEADER_BYTES as usize;
    let behind = bytes.get(FILE_HEADER_BYTES + OS2_HEADER_BYTES as usize..).ok_or("truncated")?;
    let mut windows = [&bytes[..header_end], behind].concat();
    windows[10..14].copy_from_slice(&pixels_at.to_le_bytes());
    windows[14..18].copy_from_slice(&WINDOWS_HEADER_BYTES.to_le_bytes());
    Ok(Cow::Owned(windows))
}
