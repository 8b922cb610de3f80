//! The first frame of a GIF, on its canvas.

use super::{Decoded, Problem, check_size};
use afterimage_core::PictureLimits;
use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};
use image::metadata::Orientation;
use std::io::{Cursor, ErrorKind};
use std::num::NonZeroU64;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Problem> {
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
    Ok(Decoded { width: canvas_width, height: canvas_height, rgb, orientation: Orientation::NoTransforms })
}

fn problem(error: &DecodingError) -> Problem {
    match error {
        DecodingError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => "truncated".to_owned(),
        _ => format!("damaged or truncated ({error})"),
    }
}
