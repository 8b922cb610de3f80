//! A tensor as a file holds it.

use crate::bytes::SharedBytes;
use crate::decode::to_f32;
use crate::element::Element;
use crate::matrix::Matrix;
use std::ops::Range;

/// A tensor as it is stored: name, shape, type of number, little-endian row-major bytes of exactly that length, and
/// perhaps a scale that stands beside it. Blocks run along the last dimension.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    name: String,
    shape: Vec<usize>,
    element: Element,
    bytes: SharedBytes,
    scale: Option<f32>,
}

impl StoredTensor {
    /// A tensor `name` of `shape`, slowest dimension first. `None` when the last side is not whole blocks or `bytes` is
    /// not exactly as long as the shape says.
    pub fn new(name: impl Into<String>, shape: Vec<usize>, element: Element, bytes: SharedBytes) -> Option<Self> {
        let row = element.row_bytes(shape.last().copied().unwrap_or(1))?;
        let rows = shape.iter().rev().skip(1).try_fold(1_usize, |rows, side| rows.checked_mul(*side))?;
        let expected = rows.checked_mul(row)?;
        (bytes.len() == expected).then(|| Self { name: name.into(), shape, element, bytes, scale: None })
    }

    /// The same with a factor that all of its numbers are to be multiplied with, as scaled fp8 files keep beside it.
    #[must_use]
    pub fn with_scale(self, scale: f32) -> Self {
        Self { scale: Some(scale), ..self }
    }

    /// The same tensor, whose memory goes whenever an operation has read it: see [`SharedBytes::streamed`].
    #[must_use]
    pub fn streamed(self) -> Self {
        Self { bytes: self.bytes.streamed(), ..self }
    }

    /// Name in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sizes, slowest dimension first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Type of the numbers.
    pub fn element(&self) -> Element {
        self.element
    }

    /// The numbers as they are stored.
    pub fn bytes(&self) -> &SharedBytes {
        &self.bytes
    }

    /// The factor of all numbers, when there is one.
    pub fn scale(&self) -> Option<f32> {
        self.scale
    }

    /// How many numbers there are.
    pub fn numbers(&self) -> usize {
        // Neither can fail: the constructor compared shape and bytes.
        self.element.numbers(self.bytes.len()).unwrap_or(0)
    }

    /// The part `range` of the first dimension, without copying. `None` when it reaches beyond the end or would cut a
    /// block.
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        let (first, inner) = self.shape.split_first()?;
        if range.start > range.end || range.end > *first {
            return None;
        }
        let numbers: usize = inner.iter().product();
        let [start, end] = [range.start, range.end].map(|row| self.element.row_bytes(row * numbers));
        let bytes = self.bytes.slice(start?..end?)?;
        let mut shape = self.shape.clone();
        shape[0] = range.len();
        Some(Self { shape, bytes, ..self.clone() })
    }

    /// All numbers as f32, written to `out`.
    ///
    /// # Panics
    /// When `out` has another length than [`StoredTensor::numbers`].
    pub fn read(&self, out: &mut [f32]) {
        to_f32(&self.bytes, self.element, out);
        if let Some(scale) = self.scale {
            for value in out {
                *value *= scale;
            }
        }
    }

    /// The tensor as a matrix with rows of `cols` numbers. `None` when these do not fill it or would cut a block.
    pub fn matrix(self, cols: usize) -> Option<Matrix> {
        let rows = self.numbers().checked_div(cols).unwrap_or(0);
        let matrix = Matrix::new(self.bytes, self.element, rows, cols)?;
        Some(match self.scale {
            Some(scale) => matrix.scaled(scale),
            None => matrix,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn q8(shape: Vec<usize>, bytes: usize) -> Option<StoredTensor> {
        StoredTensor::new("w", shape, Element::Q8_0, SharedBytes::new(vec![1_u8; bytes]))
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(q8(vec![2, 64], 4 * 34).is_some());
        assert!(q8(vec![2, 64], 4 * 34 - 1).is_none() && q8(vec![2, 64], 4 * 34 + 1).is_none());
        assert!(q8(vec![64, 2], 4 * 34).is_none(), "blocks run along the last side");
        assert!(q8(vec![], 34).is_none(), "a scalar is no block");
        assert!(q8(vec![usize::MAX, usize::MAX, 32], 0).is_none(), "sizes beyond counting");
        let scalar = StoredTensor::new("s", vec![], Element::F32, SharedBytes::new(vec![0; 4])).unwrap();
        assert_eq!((scalar.numbers(), scalar.name()), (1, "s"));
        assert_eq!(q8(vec![0, 64], 0).unwrap().numbers(), 0);
    }

    #[test]
    fn parts_are_cut_on_block_boundaries() {
        let rows = q8(vec![4, 32], 4 * 34).unwrap().with_scale(3.0);
        let part = rows.part(1..3).unwrap();
        assert_eq!((part.shape(), part.bytes().len(), part.scale()), (&[2, 32][..], 68, Some(3.0)));
        assert!(rows.part(2..5).is_none());
        let vector = q8(vec![64], 68).unwrap();
        assert_eq!(vector.part(32..64).unwrap().numbers(), 32);
        assert!(vector.part(16..48).is_none());
    }

    #[test]
    fn scales_multiply_all_numbers() {
        let stored = StoredTensor::new("w", vec![2, 2], Element::F8E4M3, SharedBytes::new(vec![0x38, 0xb8, 0x40, 0]));
        let stored = stored.unwrap().with_scale(0.5);
        let mut values = [9.0; 4];
        stored.read(&mut values);
        assert_eq!(values.map(f32::to_bits), [0.5, -0.5, 1.0, 0.0].map(f32::to_bits));
        assert_eq!(stored.clone().matrix(2).unwrap().to_f32(), values);
        assert!(stored.matrix(3).is_none());
    }
}
