//! File formats of results.

use serde::{Deserialize, Serialize};

/// File format of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// `image/png`: 8-bit RGB, lossless.
    #[default]
    Png,
    /// `image/jpeg`: quality 95 without chroma subsampling.
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
