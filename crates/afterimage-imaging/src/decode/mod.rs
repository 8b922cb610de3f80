//! From the bytes of a file to an upright 8-bit RGB picture.

mod bitmap;
mod directory;
mod gif;
mod header;
mod inks;
mod jpeg;
mod jpeg_markers;
mod metadata;
mod pixels;
mod png;
mod profile;
mod samples;
mod tiff;
mod webp;

use crate::format::{PictureFormat, camera_raw_refusal, refusal};
use crate::source::too_many_bytes;
use afterimage_core::{Error, Picture, PictureLimits, Result};
pub use header::{PictureHeader, read_header};
use samples::Samples;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is wrong with a picture, in words; [`decode`] adds where it came from.
type Problem = String;

/// Decoded pixels as they lie in the file, before they are turned upright.
struct Decoded {
    width: u32,
    height: u32,
    samples: Samples,
}

/// A picture as it is used, and what was done to it on the way that its owner may want to know.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcePicture {
    /// Upright, RGB on white.
    pub picture: Picture,
    /// Name of the ICC profile whose colours were converted to sRGB, at most 60 characters; `None` when none was.
    pub converted_from: Option<String>,
}

/// Decodes JPEG, PNG, WebP, GIF, BMP or TIFF, told apart by content, into an upright RGB picture.
///
/// Orientation from EXIF or XMP is applied, alpha flattened onto white, 16 bits a sample are cut to the upper 8, CMYK is
/// converted as Pillow does (Adobe's inverted polarity). Colours of an ICC profile become sRGB, as Pillow's `ImageCms`
/// converts them. Of an animation the first frame is used, of several pages the first. `source_name` is what messages
/// call the picture: a file name, `standard input`.
///
/// # Errors
/// [`Error::Picture`] for anything else, for truncated or damaged files, and above `limits`, which are checked before
/// memory for pixels is taken.
pub fn decode(bytes: &[u8], source_name: &str, limits: &PictureLimits) -> Result<Picture> {
    decode_source(bytes, source_name, limits).map(|source| source.picture)
}

/// [`decode`], with what was done on the way.
///
/// # Errors
/// As for [`decode`].
pub fn decode_source(bytes: &[u8], source_name: &str, limits: &PictureLimits) -> Result<SourcePicture> {
    let format = accepted_format(bytes, source_name, limits)?;
    // The codecs are written not to panic, but their arithmetic on hostile headers is not under our control.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_as(format, bytes, limits)))
        .unwrap_or_else(|_| Err("damaged".to_owned()))
        .map_err(|problem| Error::picture(source_name, format!("{} file: {problem}", format.name())))?;
    let metadata = metadata::read(format, bytes);
    let (samples, converted_from) = match &metadata.profile {
        Some(profile) => profile::convert(decoded.samples, profile),
        None => (decoded.samples, None),
    };
    let (width, height, rgb) =
        pixels::turn_upright(decoded.width, decoded.height, samples.into_rgb(), metadata.orientation);
    let picture = Picture::from_rgb(width, height, rgb)
        .ok_or_else(|| Error::internal("decoded pixels do not fit the picture's size"))?;
    Ok(SourcePicture { picture, converted_from })
}

/// The format of `bytes`, unless their number or kind is refused.
fn accepted_format(bytes: &[u8], source_name: &str, limits: &PictureLimits) -> Result<PictureFormat> {
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

fn decode_as(format: PictureFormat, bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Problem> {
    match format {
        PictureFormat::Jpeg => jpeg::decode(bytes, limits),
        PictureFormat::Png => png::decode(bytes, limits),
        PictureFormat::WebP => webp::decode(bytes, limits),
        PictureFormat::Gif => gif::decode(bytes, limits),
        PictureFormat::Bmp => bitmap::decode(bytes, limits),
        PictureFormat::Tiff => tiff::decode(bytes, limits),
    }
}

/// Refuses a size from a header that is empty or above the limits.
fn check_size(width: u32, height: u32, limits: &PictureLimits) -> Result<(), Problem> {
    if width == 0 || height == 0 {
        return Err(format!("{width}x{height} pixels; both sides must be at least 1"));
    }
    if width.max(height) > limits.side {
        return Err(format!("{width}x{height} pixels are too large; at most {} per side are accepted", limits.side));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.pixels {
        return Err(format!(
            "{width}x{height} pixels are too large; at most {} megapixels are accepted",
            limits.pixels as f64 / 1e6
        ));
    }
    Ok(())
}

/// A decoder's complaint in our words: most of them mean that the file ends too early.
fn image_problem(error: &image::ImageError) -> Problem {
    match error {
        image::ImageError::IoError(_) => "truncated".to_owned(),
        image::ImageError::Limits(_) => "needs too much memory to decode".to_owned(),
        image::ImageError::Unsupported(_) => format!("of an unsupported kind ({error})"),
        _ => format!("damaged ({error})"),
    }
}

/// Bytes that a decoder may take beside the pixels themselves.
fn working_memory(limits: &PictureLimits) -> u64 {
    // 16-bit RGBA, read and intermediate, and as much as the file itself.
    limits.pixels.saturating_mul(16).saturating_add(limits.file_bytes.saturating_mul(2))
}
