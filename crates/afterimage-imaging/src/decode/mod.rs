//! From the bytes of a file to an upright 8-bit RGB picture.

mod bitmap;
mod defect;
mod directory;
mod gif;
mod header;
mod inks;
mod jpeg;
mod limits;
mod metadata;
mod pixels;
mod png;
mod profile;
mod samples;
mod tiff;
mod webp;

use crate::format::PictureFormat;
use afterimage_core::{Error, FileReading, Picture, PictureLimits, Result};
use defect::Defect;
use header::accepted_format;
pub use header::{PictureHeader, read_header};
pub(crate) use limits::too_many_bytes;
use metadata::Metadata;
use samples::Decoded;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    let decoded = samples_of(format, bytes, source_name, limits)?;
    let metadata = metadata::read(format, bytes);
    let (samples, converted_from) = match &metadata.profile {
        Some(profile) => profile::convert(decoded.samples, profile),
        None => (decoded.samples, None),
    };
    let picture = upright([decoded.width, decoded.height], samples.into_rgb(), &metadata)?;
    Ok(SourcePicture { picture, converted_from })
}

/// [`decode_source`] of a file that is read as `reading` says. A mask becomes a picture whose brightness is how much of a pixel it
/// names; its colours are taken as they are, whatever profile they have.
///
/// # Errors
/// As for [`decode`]; also for a mask without the transparency that is to be read.
pub fn decode_as(
    bytes: &[u8],
    source_name: &str,
    limits: &PictureLimits,
    reading: FileReading,
) -> Result<SourcePicture> {
    let reading = match reading {
        FileReading::Picture => return decode_source(bytes, source_name, limits),
        FileReading::Mask(reading) => reading,
    };
    let format = accepted_format(bytes, source_name, limits)?;
    let decoded = samples_of(format, bytes, source_name, limits)?;
    let samples = decoded.samples.into_mask(reading).map_err(|problem| Error::picture(source_name, problem))?;
    let picture = upright([decoded.width, decoded.height], samples, &metadata::read(format, bytes))?;
    Ok(SourcePicture { picture, converted_from: None })
}

fn upright([width, height]: [u32; 2], rgb: Vec<u8>, metadata: &Metadata) -> Result<Picture> {
    let (width, height, rgb) = pixels::turn_upright(width, height, rgb, metadata.orientation);
    Picture::from_rgb(width, height, rgb).ok_or_else(|| Error::internal("decoded pixels do not fit the picture's size"))
}

fn samples_of(format: PictureFormat, bytes: &[u8], source_name: &str, limits: &PictureLimits) -> Result<Decoded> {
    // The codecs are written not to panic, but their arithmetic on hostile headers is not under our control.
    catch_unwind(AssertUnwindSafe(|| decode_samples(format, bytes, limits)))
        .unwrap_or_else(|_| Err("damaged".to_owned()))
        .map_err(|problem| Error::picture(source_name, format!("{} file: {problem}", format.name())))
}

fn decode_samples(format: PictureFormat, bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Defect> {
    match format {
        PictureFormat::Jpeg => jpeg::decode(bytes, limits),
        PictureFormat::Png => png::decode(bytes, limits),
        PictureFormat::WebP => webp::decode(bytes, limits),
        PictureFormat::Gif => gif::decode(bytes, limits),
        PictureFormat::Bmp => bitmap::decode(bytes, limits),
        PictureFormat::Tiff => tiff::decode(bytes, limits),
    }
}
