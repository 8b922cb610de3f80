//! Writing PNG and JPEG with metadata that says how the picture came about.

mod exif;
mod jpeg;
mod output_metadata;
mod png;
mod xmp;

use afterimage_core::{Error, Picture, Result};
pub use output_metadata::OutputMetadata;
use std::path::Path;

/// A format for results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OutputFormat {
    /// 8-bit RGB, lossless.
    #[default]
    Png,
    /// Quality 95 without chroma subsampling.
    Jpeg,
}

impl OutputFormat {
    /// The format that the extension asks for (`png`, `jpg`, `jpeg` in any case); `None` for others or none.
    pub fn from_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        if extension.eq_ignore_ascii_case("png") {
            Some(Self::Png)
        } else if extension.eq_ignore_ascii_case("jpg") || extension.eq_ignore_ascii_case("jpeg") {
            Some(Self::Jpeg)
        } else {
            None
        }
    }

    /// The usual extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }

    /// The media type, such as `image/png`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides() {
        for (name, format) in [
            ("a.png", Some(OutputFormat::Png)),
            ("a.b.PNG", Some(OutputFormat::Png)),
            ("x/y.Jpg", Some(OutputFormat::Jpeg)),
            ("y.jpeg", Some(OutputFormat::Jpeg)),
            ("png", None),
            ("a.webp", None),
            ("a.", None),
            ("", None),
        ] {
            assert_eq!(OutputFormat::from_path(Path::new(name)), format, "{name}");
        }
    }
}
