//! What is asked for.

use super::grid::SettingsGrid;
use afterimage_core::GenerationRequest;
use std::path::PathBuf;

/// What is to be made of each picture, or mixture of pictures.
#[derive(Debug)]
pub struct WantedPictures {
    /// One request, or that of every cell of the table.
    pub requests: Vec<GenerationRequest>,
    /// The table.
    pub grid: Option<SettingsGrid>,
    /// What goes with each picture that is taken by itself: its mask, what it starts from.
    pub beside: Vec<PathBuf>,
}

impl WantedPictures {
    /// Files that come out.
    pub fn results(&self) -> u32 {
        match (&self.grid, self.requests.first()) {
            (None, Some(request)) => request.num_images,
            _ => 1,
        }
    }
}
