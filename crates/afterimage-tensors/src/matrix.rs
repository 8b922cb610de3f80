//! Weight matrices in the type and place they are stored in.
//!
//! A linear layer's weight `[rows = outputs, cols = inputs]` is kept as the file holds it (f32, bf16 or f16, possibly
//! mapped, possibly spread over several tensors such as separate q, k and v). The matrix product converts to f32 while
//! it packs its panels, so no f32 copy of the weights ever exists and fusing q, k, v costs nothing.

use crate::{Element, SharedBytes};
use half::{bf16, f16};
use std::ops::Range;

#[derive(Clone, Debug)]
struct Part {
    bytes: SharedBytes,
    element: Element,
    rows: usize,
}

/// A weight matrix `[rows, cols]`, row-major, as one or several consecutive blocks of rows.
#[derive(Clone, Debug)]
pub struct Matrix {
    parts: Vec<Part>,
    rows: usize,
    cols: usize,
}

impl Matrix {
    /// A matrix in one piece. `None` when the length of `bytes` is not `rows × cols` numbers.
    pub fn new(bytes: SharedBytes, element: Element, rows: usize, cols: usize) -> Option<Self> {
        let expected = rows.checked_mul(cols)?.checked_mul(element.size())?;
        (bytes.len() == expected).then(|| Self { parts: vec![Part { bytes, element, rows }], rows, cols })
    }

    /// A matrix from a copy of f32 values: for tests and measurements.
    ///
    /// # Panics
    /// When there are not `rows × cols` values.
    pub fn from_f32(values: &[f32], rows: usize, cols: usize) -> Self {
        assert_eq!(values.len(), rows * cols, "a matrix of {rows} x {cols}");
        let bytes = SharedBytes::new(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        Self { parts: vec![Part { bytes, element: Element::F32, rows }], rows, cols }
    }

    /// Puts matrices of equal width below each other without copying. `None` when the widths differ or there are none.
    pub fn stack(matrices: &[Self]) -> Option<Self> {
        let cols = matrices.first()?.cols;
        if matrices.iter().any(|matrix| matrix.cols != cols) {
            return None;
        }
        let rows = matrices.iter().map(|matrix| matrix.rows).sum();
        Some(Self { parts: matrices.iter().flat_map(|matrix| matrix.parts.iter().cloned()).collect(), rows, cols })
    }

    /// The rows in `range`, without copying.
    ///
    /// # Panics
    /// When `range` reaches beyond the last row.
    #[must_use]
    pub fn row_range(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows, "rows {range:?} of {}", self.rows);
        let mut parts = Vec::new();
        let mut first = 0;
        for part in &self.parts {
            let (start, end) = (range.start.max(first), range.end.min(first + part.rows));
            if start < end {
                let row_bytes = self.cols * part.element.size();
                let bytes = part.bytes.slice((start - first) * row_bytes..(end - first) * row_bytes);
                parts.extend(bytes.map(|bytes| Part { bytes, element: part.element, rows: end - start }));
            }
            first += part.rows;
        }
        Self { parts, rows: range.len(), cols: self.cols }
    }

    /// Outputs of the layer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs of the layer.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The stored bytes of row `row`, and their type.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> (&[u8], Element) {
        let mut first = 0;
        for part in &self.parts {
            if row < first + part.rows {
                let row_bytes = self.cols * part.element.size();
                let start = (row - first) * row_bytes;
                return (&part.bytes[start..start + row_bytes], part.element);
            }
            first += part.rows;
        }
        panic!("row {row} of a matrix with {} rows", self.rows);
    }

    /// Columns `cols` of row `row` as f32, written to `out`.
    ///
    /// # Panics
    /// When row or columns do not exist, or `out` has another length.
    pub fn read_row(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        let (bytes, element) = self.row(row);
        to_f32(&bytes[cols.start * element.size()..cols.end * element.size()], element, out);
    }

    /// All values as f32, row-major: for oracles and small matrices.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.cols];
        if self.cols > 0 {
            for (row, out) in values.chunks_exact_mut(self.cols).enumerate() {
                self.read_row(row, 0..self.cols, out);
            }
        }
        values
    }
}

/// Converts stored numbers to f32. Inlined so that it is compiled for the instruction set of whoever packs with it.
///
/// # Panics
/// When `bytes` does not hold exactly `out.len()` numbers.
#[expect(clippy::inline_always, reason = "the hot loop of every packer, in another crate")]
#[inline(always)]
pub fn to_f32(bytes: &[u8], element: Element, out: &mut [f32]) {
    assert_eq!(bytes.len(), out.len() * element.size(), "stored numbers");
    match element {
        Element::F32 => {
            for (value, stored) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*stored);
            }
        }
        Element::Bf16 => {
            for (value, stored) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = bf16::from_le_bytes(*stored).to_f32();
            }
        }
        Element::F16 => {
            for (value, stored) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = f16::from_le_bytes(*stored).to_f32();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rows: usize, cols: usize, start: usize) -> Matrix {
        let values: Vec<f32> = (start..start + rows * cols).map(|value| value as f32).collect();
        Matrix::from_f32(&values, rows, cols)
    }

    #[test]
    fn stacked_parts_read_like_one_matrix() {
        let half: Vec<u8> = (6..12).flat_map(|value| bf16::from_f32(value as f32).to_le_bytes()).collect();
        let lower = Matrix::new(SharedBytes::new(half), Element::Bf16, 2, 3).unwrap();
        let stacked = Matrix::stack(&[counted(2, 3, 0), lower]).unwrap();
        let expected: Vec<f32> = (0..12).map(|value| value as f32).collect();
        assert_eq!(stacked.to_f32(), expected);
        assert_eq!(stacked.row_range(1..3).to_f32(), expected[3..9]);
        assert_eq!(stacked.row_range(2..2).rows(), 0);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(Matrix::new(SharedBytes::new(vec![0_u8; 7]), Element::F16, 2, 2).is_none());
        assert!(Matrix::stack(&[counted(1, 2, 0), counted(1, 3, 0)]).is_none());
    }
}
