//! File formats of results.

use serde::{Deserialize, Serialize};

/// File format of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum OutputFormat {
    /// Lossless.
    ///
    /// `image/png`, 8-bit RGB.
    #[default]
    Png,
    /// Smaller, lossy.
    ///
    /// `image/jpeg`, quality 95 without chroma subsampling.
    #[cfg_attr(feature = "clap", value(alias = "jpg"))]
    Jpeg,
}

impl OutputFormat {
    /// Extension of its files, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }

    /// Media type of its files.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }
}
