//! The first frame of a GIF, on its canvas.

use super::defect::Defect;
use super::limits::check_size;
use super::samples::{Decoded, Samples};
use afterimage_core::PictureLimits;
use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};
use std::io::{Cursor, ErrorKind};
use std::num::NonZeroU64;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Defect> {
    check_blocks(bytes)?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(NonZeroU64::new(limits.pixels).unwrap_or(NonZeroU64::MIN)));
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(|error| defect(&error))?;
    let (canvas_width, canvas_height) = canvas_size(bytes)?;
    check_size(canvas_width, canvas_height, limits)?;
    let frame =
        decoder.next_frame_info().map_err(|error| defect(&error))?.ok_or_else(|| "holds no frame".to_owned())?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let transparent = frame.transparent;
    check_size(width as u32, height as u32, limits)?;
    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(|error| defect(&error))?;
    let (palette, _) = decoder.palette().map_err(|error| defect(&error))?.as_chunks::<3>();

    // What the first frame leaves uncovered is transparent where that frame has transparency, so white here, else of the
    // first colour, as Pillow has it.
    let stride = canvas_width as usize * 3;
    let uncovered = transparent.map_or_else(|| palette.first().copied().unwrap_or_default(), |_| [u8::MAX; 3]);
    let mut rgb = uncovered.repeat(canvas_width as usize * canvas_height as usize);
    for (indices, row) in indices.chunks_exact(width).zip(rgb.chunks_exact_mut(stride).skip(top)) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        for (index, pixel) in indices.iter().zip(pixels.iter_mut().skip(left)) {
            if Some(*index) != transparent {
                *pixel = palette.get(usize::from(*index)).copied().unwrap_or_default();
            }
        }
    }
    Ok(Decoded { width: canvas_width, height: canvas_height, samples: Samples::Rgb(rgb) })
}

/// Width and height of the canvas: those of the header, or what the first frame needs when that is more.
pub(super) fn canvas_size(bytes: &[u8]) -> Result<(u32, u32), Defect> {
    let size = bytes.get(6..10).ok_or(TRUNCATED)?;
    let number = |bytes: &[u8], at: usize| u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let (mut width, mut height) = (number(size, 0), number(size, 2));
    if let Some(frame) = first_descriptor(bytes) {
        width = width.max(number(frame, 0) + number(frame, 4));
        height = height.max(number(frame, 2) + number(frame, 6));
    }
    Ok((width, height))
}

/// The first frame's descriptor: left, top, width, height and flags.
fn first_descriptor(bytes: &[u8]) -> Option<&[u8; 9]> {
    let (header, rest) = bytes.split_first_chunk::<13>()?;
    let mut rest = rest.get(color_table_bytes(header[10])..)?;
    loop {
        let (&block, after) = rest.split_first()?;
        match block {
            EXTENSION => rest = skip_sub_blocks(after.get(1..)?)?,
            IMAGE => return after.first_chunk(),
            _ => return None,
        }
    }
}

const TRUNCATED: &str = "truncated";
const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2c;

/// Walks the blocks without decoding them: a file that ends inside one is truncated, even if the first frame is whole.
/// A missing trailer is tolerated, old programs left it out.
fn check_blocks(bytes: &[u8]) -> Result<(), Defect> {
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

fn defect(error: &DecodingError) -> Defect {
    match error {
        DecodingError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => "truncated".to_owned(),
        _ => format!("damaged or truncated ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gif::{Encoder, Frame};

    /// A canvas of 8×4 with a frame of one colour, and what is decoded of it.
    fn decoded(frame: &Frame) -> (u32, u32, Vec<[u8; 3]>) {
        let mut bytes = Vec::new();
        let palette = [10, 20, 30, 200, 100, 50];
        Encoder::new(&mut bytes, 8, 4, &palette).unwrap().write_frame(frame).unwrap();
        let decoded = decode(&bytes, &PictureLimits::default()).unwrap();
        assert_eq!(canvas_size(&bytes).unwrap(), (decoded.width, decoded.height));
        let Samples::Rgb(rgb) = decoded.samples else { panic!("colours") };
        (decoded.width, decoded.height, rgb.as_chunks::<3>().0.to_vec())
    }

    fn frame(left: u16, top: u16, width: u16, height: u16) -> Frame<'static> {
        let pixels = vec![1; usize::from(width) * usize::from(height)];
        Frame { left, top, ..Frame::from_indexed_pixels(width, height, pixels, None) }
    }

    #[test]
    fn a_first_frame_beyond_the_canvas_enlarges_it() {
        let (width, height, pixels) = decoded(&frame(2, 1, 10, 5));
        assert_eq!((width, height), (12, 6));
        assert_eq!((pixels[0], pixels[12 + 2], pixels[71]), ([10, 20, 30], [200, 100, 50], [200, 100, 50]));
    }

    #[test]
    fn what_the_first_frame_leaves_is_white_only_where_there_is_transparency() {
        let (_, _, pixels) = decoded(&frame(4, 0, 4, 4));
        assert_eq!((pixels[0], pixels[4]), ([10, 20, 30], [200, 100, 50]));
        let (_, _, pixels) = decoded(&Frame { transparent: Some(0), ..frame(4, 0, 4, 4) });
        assert_eq!((pixels[0], pixels[4]), ([255; 3], [200, 100, 50]));
    }
}
