//! The first frame of a GIF, on its canvas.

use super::samples::Samples;
use super::{Decoded, Problem, check_size};
use afterimage_core::PictureLimits;
use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};
use std::io::{Cursor, ErrorKind};
use std::num::NonZeroU64;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Problem> {
    check_blocks(bytes)?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(NonZeroU64::new(limits.pixels).unwrap_or(NonZeroU64::MIN)));
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(|error| problem(&error))?;
    let (canvas_width, canvas_height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    check_size(canvas_width, canvas_height, limits)?;
    let frame =
        decoder.next_frame_info().map_err(|error| problem(&error))?.ok_or_else(|| "holds no frame".to_owned())?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let transparent = frame.transparent;
    check_size(width as u32, height as u32, limits)?;
    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(|error| problem(&error))?;
    let (palette, _) = decoder.palette().map_err(|error| problem(&error))?.as_chunks::<3>();

    // What the first frame leaves uncovered is transparent, as in every browser: white here.
    let stride = canvas_width as usize * 3;
    let mut rgb = vec![u8::MAX; stride * canvas_height as usize];
    let visible_width = width.min((canvas_width as usize).saturating_sub(left));
    for (indices, row) in indices.chunks_exact(width).zip(rgb.chunks_exact_mut(stride).skip(top)) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        for (index, pixel) in indices.iter().take(visible_width).zip(pixels.iter_mut().skip(left)) {
            if Some(*index) != transparent {
                *pixel = palette.get(usize::from(*index)).copied().unwrap_or_default();
            }
        }
    }
    Ok(Decoded { width: canvas_width, height: canvas_height, samples: Samples::Rgb(rgb) })
}

/// Width and height of the canvas.
pub(super) fn canvas_size(bytes: &[u8]) -> Result<(u32, u32), Problem> {
    let size = bytes.get(6..10).and_then(|size| size.first_chunk().copied()).ok_or_else(|| "truncated".to_owned())?;
    let [width_low, width_high, height_low, height_high] = size;
    Ok((u16::from_le_bytes([width_low, width_high]).into(), u16::from_le_bytes([height_low, height_high]).into()))
}

/// Walks the blocks without decoding them: a file that ends inside one is truncated, even if the first frame is whole.
/// A missing trailer is tolerated, old programs left it out.
fn check_blocks(bytes: &[u8]) -> Result<(), Problem> {
    const TRUNCATED: &str = "truncated";
    const EXTENSION: u8 = 0x21;
    const IMAGE: u8 = 0x2c;
    let (header, rest) = bytes.split_first_chunk::<13>().ok_or(TRUNCATED)?;
    let mut rest = rest.get(color_table_bytes(header[10])..).ok_or(TRUNCATED)?;
    while let Some((&block, after)) = rest.split_first() {
        let data = match block {
            EXTENSION => after.get(1..),
            IMAGE => {
                let (descriptor, after) = after.split_first_chunk::<9>().ok_or(TRUNCATED)?;
                // One byte for the smallest code size.
                after.get(color_table_bytes(descriptor[8]) + 1..)
            }
            // The trailer, or bytes that every decoder stops at.
            _ => return Ok(()),
        };
        rest = skip_sub_blocks(data.ok_or(TRUNCATED)?).ok_or(TRUNCATED)?;
    }
    Ok(())
}

/// Size of the colour table that a descriptor's flags announce.
fn color_table_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Skips length-prefixed pieces up to the empty one that ends them.
fn skip_sub_blocks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, after) = rest.split_first()?;
        rest = after.get(usize::from(length)..)?;
        if length == 0 {
            return Some(rest);
        }
    }
}

fn problem(error: &DecodingError) -> Problem {
    match error {
        DecodingError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => "truncated".to_owned(),
        _ => format!("damaged or truncated ({error})"),
    }
}
