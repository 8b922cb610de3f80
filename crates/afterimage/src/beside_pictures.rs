//! Files that stand beside the pictures of a command, as flags name them.

use std::path::PathBuf;

/// Files that belong to the pictures of a command.
#[derive(Clone, Debug, Default)]
pub struct BesidePictures {
    /// The masks of pictures that are varied: one for each, in their order.
    pub image_masks: Vec<PathBuf>,
    /// What a variation starts from.
    pub start: Option<PathBuf>,
    /// What is painted anew.
    pub mask: Option<PathBuf>,
}
