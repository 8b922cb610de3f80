//! Writing PNG and JPEG with metadata that says how the picture came about.

mod exif;
mod jpeg;
mod output_metadata;
mod png;
mod xmp;

use afterimage_core::{Error, OutputFormat, Picture, Result};
pub use output_metadata::OutputMetadata;

/// The whole file of a picture; without `metadata` nothing but the picture.
///
/// PNG: text chunks `Software`, `Description`, `parameters` (the text that picture browsers read), `afterimage` (the JSON),
/// EXIF and XMP. JPEG: EXIF (`ImageDescription`, `Software`, `UserComment` with the text), XMP, and the JSON as comment
/// segments. The XMP packet declares IPTC's digital source type `trainedAlgorithmicMedia`, by which other programs
/// recognise generated pictures.
///
/// # Errors
/// [`Error::Field`] `size` for a JPEG with a side above 65,535 pixels.
pub fn encode<'a>(
    picture: &Picture,
    format: OutputFormat,
    metadata: impl Into<Option<&'a OutputMetadata>>,
) -> Result<Vec<u8>> {
    let metadata = metadata.into();
    match format {
        OutputFormat::Png => png::encode(picture, metadata).map_err(Error::internal),
        OutputFormat::Jpeg => jpeg::encode(picture, metadata),
    }
}
