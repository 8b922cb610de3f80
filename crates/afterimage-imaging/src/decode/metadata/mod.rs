//! What a file says about its picture beside the pixels: orientation and colour profile.
//!
//! One reader for all formats, over the bytes of the file: where they carry EXIF, XMP and profiles differs, what these
//! mean does not.

mod blocks;
mod jpeg_segments;
mod orientation;
mod png_chunks;
mod webp_chunks;

use super::directory::Directory;
use crate::format::PictureFormat;
use blocks::Blocks;
use image::metadata::Orientation;
use std::borrow::Cow;

/// TIFF tags that carry metadata.
const TIFF_XMP: u16 = 700;
const TIFF_PROFILE: u16 = 34675;

/// How the picture is meant to be seen.
pub(super) struct Metadata<'a> {
    /// How the stored rows are turned to stand upright.
    pub(super) orientation: Orientation,
    /// ICC profile, not looked into.
    pub(super) profile: Option<Cow<'a, [u8]>>,
}

/// Reads the metadata of a file; whatever is damaged counts as absent, as browsers and Pillow's users expect.
pub(super) fn read(format: PictureFormat, bytes: &[u8]) -> Metadata<'_> {
    let blocks = match format {
        PictureFormat::Jpeg => jpeg_segments::blocks(bytes),
        PictureFormat::Png => png_chunks::blocks(bytes),
        PictureFormat::WebP => webp_chunks::blocks(bytes),
        PictureFormat::Tiff => tiff_blocks(bytes),
        PictureFormat::Gif | PictureFormat::Bmp => Blocks::default(),
    };
    let orientation = orientation::of(blocks.exif.as_deref(), blocks.xmp.as_deref());
    Metadata { orientation, profile: blocks.profile }
}

/// A TIFF is its own EXIF block.
fn tiff_blocks(bytes: &[u8]) -> Blocks<'_> {
    let directory = Directory::first(bytes);
    let tag = |tag| directory.as_ref().and_then(|directory| directory.bytes(tag)).map(Cow::Borrowed);
    Blocks { exif: Some(Cow::Borrowed(bytes)), xmp: tag(TIFF_XMP), profile: tag(TIFF_PROFILE) }
}
