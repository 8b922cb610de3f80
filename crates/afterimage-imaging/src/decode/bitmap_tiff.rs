//! BMP and TIFF through the `image` crate.

use super::{Decoded, Problem, check_size, image_problem, pixels, working_memory};
use afterimage_core::PictureLimits;
use image::codecs::bmp::BmpDecoder;
use image::codecs::tiff::TiffDecoder;
use image::{ImageDecoder, Limits};
use std::io::Cursor;

pub(super) fn decode_bitmap(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Problem> {
    read(bitmap_decoder(bytes)?, limits)
}

pub(super) fn decode_tiff(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Problem> {
    read(tiff_decoder(bytes)?, limits)
}

/// Width and height of a bitmap, from its header.
pub(super) fn bitmap_size(bytes: &[u8]) -> Result<(u32, u32), Problem> {
    Ok(bitmap_decoder(bytes)?.dimensions())
}

/// Width and height of a TIFF's first page, from its directory.
pub(super) fn tiff_size(bytes: &[u8]) -> Result<(u32, u32), Problem> {
    Ok(tiff_decoder(bytes)?.dimensions())
}

fn bitmap_decoder(bytes: &[u8]) -> Result<BmpDecoder<Cursor<&[u8]>>, Problem> {
    BmpDecoder::new(Cursor::new(bytes)).map_err(|error| image_problem(&error))
}

fn tiff_decoder(bytes: &[u8]) -> Result<TiffDecoder<Cursor<&[u8]>>, Problem> {
    TiffDecoder::new(Cursor::new(bytes)).map_err(|error| image_problem(&error))
}

fn read(mut decoder: impl ImageDecoder, limits: &PictureLimits) -> Result<Decoded, Problem> {
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let mut memory = Limits::default();
    memory.max_alloc = Some(working_memory(limits));
    decoder.set_limits(memory).map_err(|error| image_problem(&error))?;
    let orientation = decoder.orientation().map_err(|error| image_problem(&error))?;
    let color = decoder.color_type();
    let length = usize::try_from(decoder.total_bytes()).map_err(|_| "too large".to_owned())?;
    let mut samples = vec![0; length];
    decoder.read_image(&mut samples).map_err(|error| image_problem(&error))?;
    let rgb = pixels::to_rgb(color, samples)
        .ok_or_else(|| format!("of an unsupported kind ({color:?}); 8 or 16 bits a sample are accepted"))?;
    Ok(Decoded { width, height, rgb, orientation })
}
