//! Buffers in the process's own memory.

use crate::view::{DeviceBuffer, MatrixShape, View, ViewMut};
use afterimage_tensors::Matrix;
use std::ops::Range;

/// f32 numbers in host memory.
#[derive(Debug)]
pub struct HostBuffer(pub(crate) Vec<f32>);

impl DeviceBuffer for HostBuffer {
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl MatrixShape for Matrix {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn cols(&self) -> usize {
        self.cols()
    }
}

/// The numbers from the first to the last of a view that was checked.
fn span(offset: usize, rows: usize, cols: usize, stride: usize) -> Range<usize> {
    if rows == 0 || cols == 0 { 0..0 } else { offset..offset + (rows - 1) * stride + cols }
}

impl<'a> View<'a, HostBuffer> {
    /// From the view's first number to its last.
    pub(crate) fn numbers(&self) -> &'a [f32] {
        &self.buffer.0[span(self.offset, self.rows, self.cols, self.stride)]
    }

    /// Row after row.
    pub(crate) fn each_row(&self) -> impl Iterator<Item = &'a [f32]> {
        let (numbers, cols) = (self.numbers(), self.cols);
        numbers.chunks(self.stride.max(1)).map(move |row| &row[..cols])
    }

    /// The numbers without gaps.
    #[cfg(feature = "testing")]
    pub(crate) fn to_vec(self) -> Vec<f32> {
        self.each_row().flatten().copied().collect()
    }
}

impl ViewMut<'_, HostBuffer> {
    /// From the view's first number to its last.
    pub(crate) fn numbers(&mut self) -> &mut [f32] {
        &mut self.buffer.0[span(self.offset, self.rows, self.cols, self.stride)]
    }

    /// Row after row.
    pub(crate) fn each_row(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let (stride, cols) = (self.stride.max(1), self.cols);
        self.numbers().chunks_mut(stride).map(move |row| &mut row[..cols])
    }

    /// Fills the rows with `values`, row after row.
    pub(crate) fn fill_from(&mut self, values: &[f32]) {
        let cols = self.cols.max(1);
        for (row, values) in self.each_row().zip(values.chunks_exact(cols)) {
            row.copy_from_slice(values);
        }
    }
}
