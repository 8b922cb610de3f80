//! BMP and TIFF through the `image` crate.

use super::{Decoded, Problem, check_size, image_problem, pixels, working_memory};
use afterimage_core::PictureLimits;
use image::codecs::bmp::BmpDecoder;
use image::codecs::tiff::TiffDecoder;
use image::{ImageDecoder, Limits};
use std::io::Cursor;

pub(super) fn decode_bitmap(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Problem> {
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(|error| image_problem(&error))?;
    read(decoder, limits)
}

pub(super) fn decode_tiff(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Problem> {
    let decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(|error| image_problem(&error))?;
    read(decoder, limits)
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
