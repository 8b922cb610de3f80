//! Coefficients of a component, from the first scan to the last.

use super::accuracy::Accuracy;
use super::block::{Block, Quantizers};
use super::frame::{FrameComponent, JpegFrame};

/// Coefficients of a component in blocks, row by row.
pub(super) struct Coefficients {
    /// Blocks across that hold pixels.
    pub(super) columns: usize,
    /// Blocks down that hold pixels.
    pub(super) rows: usize,
    /// Blocks of 64, in whole units down: there may be more rows than hold pixels. Not a vector of blocks, which would be
    /// filled with zeros by hand.
    blocks: Vec<i16>,
    /// Of the first scan of the component; none before it.
    pub(super) quantizers: Option<Quantizers>,
    /// How much the scans of a progressive file told so far.
    pub(super) accuracy: Accuracy,
}

impl Coefficients {
    pub(super) fn new(frame: &JpegFrame, component: &FrameComponent) -> Self {
        let (width, height) = frame.stored_size(component);
        let columns = width.div_ceil(8) as usize;
        let blocks = vec![0; 64 * columns * frame.unit_rows() * component.vertical as usize];
        let rows = height.div_ceil(8) as usize;
        Self { columns, rows, blocks, quantizers: None, accuracy: Accuracy::default() }
    }

    /// Bytes that the coefficients of `component` take.
    pub(super) fn bytes(frame: &JpegFrame, component: &FrameComponent) -> u64 {
        let columns = u64::from(frame.stored_size(component).0.div_ceil(8));
        columns * frame.unit_rows() as u64 * u64::from(component.vertical) * size_of::<Block>() as u64
    }

    #[inline]
    pub(super) fn block(&mut self, column: usize, row: usize) -> &mut Block {
        &mut self.blocks.as_chunks_mut().0[row * self.columns + column]
    }

    #[inline]
    pub(super) fn block_at(&self, column: usize, row: usize) -> &Block {
        &self.blocks.as_chunks().0[row * self.columns + column]
    }
}
