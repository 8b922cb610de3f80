//! What goes into the autoencoder and comes out of it.

use afterimage_core::Result;

/// Answers whether to stop; asked between layers.
pub type StopCheck<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// Numbers in planes in host memory: `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor3 {
    /// The numbers, row-major.
    pub data: Vec<f32>,
    /// Planes.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Tensor3 {
    /// Zeros.
    pub fn zeros(channels: usize, height: usize, width: usize) -> Self {
        Self { data: vec![0.0; channels * height * width], channels, height, width }
    }
}
