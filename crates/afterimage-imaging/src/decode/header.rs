//! What a picture claims about itself, read before any pixel is decoded.

use super::jpeg_markers::JpegMarkers;
use super::{Problem, accepted_format, bitmap, check_size, gif, png, tiff, webp, working_memory};
use crate::format::PictureFormat;
use afterimage_core::{Error, PictureLimits, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Pixels that [`PictureHeader::limits`] leaves to the smallest picture: decoders take buffers whose size does not
/// depend on the picture's, and the first frame of an animation may be larger than its canvas.
const LEAST_PIXELS: u64 = 1_000_000;

/// A picture's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureHeader {
    /// Told by content.
    pub format: PictureFormat,
    /// Pixels across as stored, before EXIF orientation.
    pub width: u32,
    /// Pixels down as stored, before EXIF orientation.
    pub height: u32,
    file_bytes: u64,
    longest_side: u32,
}

impl PictureHeader {
    /// Limits that hold [`crate::decode`] to what this header claims: a file that turns out to need much more than its
    /// header says is refused.
    pub fn limits(&self) -> PictureLimits {
        let pixels = u64::from(self.width) * u64::from(self.height);
        PictureLimits { file_bytes: self.file_bytes, pixels: pixels.max(LEAST_PIXELS), side: self.longest_side }
    }

    /// Bytes that decoding under [`PictureHeader::limits`] takes at most, the encoded file not counted.
    pub fn decoding_memory(&self) -> u64 {
        working_memory(&self.limits())
    }
}

/// Reads a picture's format and size without decoding it. What it costs does not depend on the size that is claimed.
///
/// # Errors
/// [`Error::Picture`] for what [`crate::decode`] would refuse by its first bytes, its header or its size. A header that
/// can be read is no promise that the pixels can.
pub fn read_header(bytes: &[u8], source_name: &str, limits: &PictureLimits) -> Result<PictureHeader> {
    let format = accepted_format(bytes, source_name, limits)?;
    let (width, height) = catch_unwind(AssertUnwindSafe(|| stored_size(format, bytes)))
        .unwrap_or_else(|_| Err("damaged".to_owned()))
        .and_then(|(width, height)| check_size(width, height, limits).map(|()| (width, height)))
        .map_err(|problem| Error::picture(source_name, format!("{} file: {problem}", format.name())))?;
    Ok(PictureHeader { format, width, height, file_bytes: bytes.len() as u64, longest_side: limits.side })
}

fn stored_size(format: PictureFormat, bytes: &[u8]) -> Result<(u32, u32), Problem> {
    match format {
        PictureFormat::Jpeg => JpegMarkers::read(bytes).map(|markers| (markers.width, markers.height)),
        PictureFormat::Png => png::stored_size(bytes),
        PictureFormat::WebP => webp::canvas_size(bytes),
        PictureFormat::Gif => gif::canvas_size(bytes),
        PictureFormat::Bmp => bitmap::size(bytes),
        PictureFormat::Tiff => tiff::size(bytes),
    }
}
