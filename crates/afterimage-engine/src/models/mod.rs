//! The models: each is configured by its `config.json`, takes its weights from a [`crate::weights::Scope`] and computes
//! on plain f32 slices, row-major, one token a row.

mod activation;
mod area;
mod clip;
mod encoder;
pub mod flux;
mod redux;
mod siglip;
mod siglip_pixels;
mod t5;
pub mod vae;

pub use activation::Activation;
pub use area::area_average;
pub use clip::{ClipTextConfig, ClipTextModel};
pub use redux::{ReduxConfig, ReduxEmbedder, downsample, downsampled_side};
pub use siglip::{SiglipConfig, SiglipVisionModel};
pub use siglip_pixels::SiglipPreprocessor;
pub use t5::{T5Config, T5Encoder};

use afterimage_core::{Error, Result};
use afterimage_tensors::Matrix;
use std::path::Path;

/// The rows of `table` that `ids` name, below each other; `config` is the file that gives the table's size.
fn embed(table: &Matrix, ids: &[u32], config: &Path) -> Result<Vec<f32>> {
    let width = table.cols();
    let mut rows = vec![0.0; ids.len() * width];
    for (id, row) in ids.iter().zip(rows.chunks_exact_mut(width)) {
        let index = *id as usize;
        if index >= table.rows() {
            return Err(Error::model_file(
                config,
                format!(
                    "vocab_size: {} is too small for token {id} of the tokenizer; the two must come from one model",
                    table.rows()
                ),
            ));
        }
        table.read_row(index, 0..width, row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
