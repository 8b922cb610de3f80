//! What each input picture of a request is for.

use serde::{Deserialize, Serialize};

/// What an input picture is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureRole {
    /// What is varied, reshaped or painted into.
    #[default]
    Picture,
    /// Which part of the picture before it speaks in a variation: white does, black does not, greys in proportion. Of any
    /// size; it is laid over the whole picture.
    PictureMask,
    /// What a variation starts from instead of noise alone.
    Start,
    /// Which part of the picture is painted anew.
    Mask,
}

impl PictureRole {
    /// Whether it says where, not what: its brightness counts and no colours.
    pub const fn is_mask(self) -> bool {
        matches!(self, Self::PictureMask | Self::Mask)
    }
}

/// How the file of a mask is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskReading {
    /// White is painted anew, black is kept. What is transparent counts as black.
    #[default]
    Brightness,
    /// What is fully transparent is painted anew and what is opaque is kept, as `OpenAI`'s edits have it. A file without
    /// transparency is refused.
    Transparency,
}

/// How one file among a request's pictures is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileReading {
    /// As a picture.
    Picture,
    /// As a mask.
    Mask(MaskReading),
}
