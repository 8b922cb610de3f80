//! The models: each is configured by its `config.json`, takes its weights from a [`crate::weights::Scope`] by
//! `load(device, scope, config)` and computes on any [`afterimage_device::Device`], one token a row. What goes in and comes
//! out are f32 numbers in host memory.

mod activation;
mod area;
mod clip;
mod encoder;
mod feature_map;
pub mod flux;
mod open_nsfw;
mod patches;
mod pixel_tables;
mod redux;
mod siglip;
mod siglip_pixels;
mod t5;
mod token_mask;
pub mod vae;
mod vision;

pub use activation::ConfiguredActivation;
pub use area::area_average;
pub(crate) use clip::LEGACY_END;
pub use clip::{ClipTextConfig, ClipTextModel};
pub use open_nsfw::{OPEN_NSFW_SIDE, OpenNsfw};
pub(crate) use pixel_tables::PixelTables;
pub use redux::{ReduxConfig, ReduxEmbedder, downsample, downsampled_side};
pub use siglip::{SiglipConfig, SiglipVisionModel};
pub use siglip_pixels::SiglipPreprocessor;
pub use t5::{T5Config, T5Encoder};
pub use token_mask::{coverage, downsample_masked};
pub use vision::{StatedVision, VisionConfig, VisionKind, VisionTransformer};

use afterimage_core::{Error, Result};
use afterimage_device::{Device, MatrixShape, Precision, ViewMut};
use std::path::Path;

/// The rows of `table` that `ids` name, below each other; `config` is the file that gives the table's size.
fn embed<D: Device>(device: &D, table: &D::Weight, ids: &[u32], config: &Path) -> Result<D::Buffer> {
    let (rows, width) = (table.rows(), table.cols());
    if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
        let problem = format!(
            "vocab_size: {rows} is too small for token {id} of the tokenizer; the two must come from one model"
        );
        return Err(Error::model_file(config, problem));
    }
    let mut embedded = device.allocate(ids.len() * width, Precision::Exact)?;
    device.gather(table, ids, ViewMut::new(&mut embedded, ids.len(), width))?;
    Ok(embedded)
}

#[cfg(test)]
mod tests;
