//! One update of a layer.

use afterimage_tensors::SharedBytes;
use std::ops::Range;

/// Numbers as a file would store them.
pub(crate) fn stored(values: &[f32]) -> SharedBytes {
    let mut bytes = vec![0_u8; size_of_val(values)];
    bytes.as_chunks_mut::<4>().0.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = value.to_le_bytes());
    SharedBytes::new(bytes)
}

/// What is added to some outputs of a layer: `factor · up · down` to the weight, `factor · bias` to the bias.
#[derive(Debug)]
pub struct LoraUpdate {
    /// The outputs.
    pub rows: Range<usize>,
    /// Columns of `up` and rows of `down`.
    pub rank: usize,
    /// Inputs of the layer.
    pub cols: usize,
    /// `[rank, cols]`
    pub down: Vec<f32>,
    /// `[rows, rank]`
    pub up: Vec<f32>,
    /// `[rows]`
    pub bias: Option<Vec<f32>>,
    /// alpha / rank.
    pub factor: f32,
}
