//! What a picture claims about itself, read before any pixel is decoded.

use super::defect::Defect;
use super::jpeg::JpegMarkers;
use super::limits::{check_size, too_many_bytes, working_memory};
use super::{bitmap, gif, png, tiff, webp};
use crate::format::{PictureFormat, camera_raw_refusal, refusal};
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

/// The format of `bytes`, unless their number or kind is refused.
pub(super) fn accepted_format(bytes: &[u8], source_name: &str, limits: &PictureLimits) -> Result<PictureFormat> {
    if bytes.is_empty() {
        return Err(Error::picture(source_name, "is empty"));
    }
    if bytes.len() as u64 > limits.file_bytes {
        return Err(too_many_bytes(source_name, Some(bytes.len() as u64), limits));
    }
    let format = PictureFormat::detect(bytes).ok_or_else(|| Error::picture(source_name, refusal(bytes)))?;
    if format == PictureFormat::Tiff
        && let Some(kind) = tiff::camera_raw(bytes)
    {
        return Err(Error::picture(source_name, camera_raw_refusal(kind)));
    }
    Ok(format)
}

fn stored_size(format: PictureFormat, bytes: &[u8]) -> Result<(u32, u32), Defect> {
    match format {
        PictureFormat::Jpeg => JpegMarkers::read(bytes).map(|markers| (markers.width, markers.height)),
        PictureFormat::Png => png::stored_size(bytes),
        PictureFormat::WebP => webp::canvas_size(bytes),
        PictureFormat::Gif => gif::canvas_size(bytes),
        PictureFormat::Bmp => bitmap::size(bytes),
        PictureFormat::Tiff => tiff::size(bytes),
    }
}
