//! Weight matrices in the type and place they are stored in.
//!
//! A linear layer's weight `[rows = outputs, cols = inputs]` is kept as the file holds it (possibly mapped, possibly
//! quantised, possibly spread over several tensors such as separate q, k and v). The matrix product converts to f32
//! while it packs its panels, so no f32 copy of the weights ever exists and fusing q, k, v costs nothing.

use crate::bytes::SharedBytes;
use crate::decode::{Group, group_of, part_to_f32};
use crate::element::{Element, GROUP, Integers};
use std::ops::Range;

#[derive(Clone, Debug)]
struct MatrixPart {
    bytes: SharedBytes,
    element: Element,
    rows: usize,
    row_bytes: usize,
    scale: Option<f32>,
}

/// A weight matrix `[rows, cols]`, row-major, as one or several consecutive blocks of rows.
#[derive(Clone, Debug)]
pub struct Matrix {
    parts: Vec<MatrixPart>,
    rows: usize,
    cols: usize,
}

impl Matrix {
    /// A matrix in one piece. `None` when rows are not whole blocks or `bytes` does not hold exactly `rows × cols`
    /// numbers.
    pub fn new(bytes: SharedBytes, element: Element, rows: usize, cols: usize) -> Option<Self> {
        let row_bytes = element.row_bytes(cols)?;
        let part = MatrixPart { element, rows, row_bytes, scale: None, bytes };
        (part.bytes.len() == rows.checked_mul(row_bytes)?).then(|| Self { parts: vec![part], rows, cols })
    }

    /// A matrix from a copy of f32 values: for small ones that no file holds, tests and measurements.
    ///
    /// # Panics
    /// When there are not `rows × cols` values.
    pub fn from_f32(values: &[f32], rows: usize, cols: usize) -> Self {
        assert_eq!(values.len(), rows * cols, "a matrix of {rows} x {cols}");
        let bytes = SharedBytes::new(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        let part = MatrixPart { bytes, element: Element::F32, rows, row_bytes: 4 * cols, scale: None };
        Self { parts: vec![part], rows, cols }
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

    /// The same matrix with all numbers multiplied by `scale` while they are read.
    #[must_use]
    pub fn scaled(mut self, scale: f32) -> Self {
        for part in &mut self.parts {
            part.scale = Some(part.scale.map_or(scale, |before| before * scale));
        }
        self
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
                let bytes = part.bytes.slice((start - first) * part.row_bytes..(end - first) * part.row_bytes);
                parts.extend(bytes.map(|bytes| MatrixPart { bytes, rows: end - start, ..part.clone() }));
            }
            first += part.rows;
        }
        Self { parts, rows: range.len(), cols: self.cols }
    }

    /// Whether all numbers are stored as f32, without a factor.
    pub fn is_f32(&self) -> bool {
        self.parts.iter().all(|part| part.element == Element::F32 && part.scale.is_none())
    }

    /// How the numbers come as integers, everywhere; `None` where a part holds floating-point numbers, and for no rows.
    pub fn integers(&self) -> Option<Integers> {
        let parts = self.parts.iter().map(|part| part.element.integers());
        parts.reduce(|one, other| {
            let (one, other) = (one?, other?);
            Some(Integers { halves: one.halves || other.halves, offsets: one.offsets || other.offsets })
        })?
    }

    /// How its numbers are stored: a type for each part that it was stacked of.
    pub fn elements(&self) -> impl Iterator<Item = Element> {
        self.parts.iter().map(|part| part.element)
    }

    /// Whether some of its bytes are given up after each use ([`SharedBytes::streamed`]).
    pub fn is_streamed(&self) -> bool {
        self.parts.iter().any(|part| part.bytes.is_streamed())
    }

    /// Outputs of the layer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs of the layer.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `row` as it is stored.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> Row<'_> {
        let mut first = 0;
        for part in &self.parts {
            if row < first + part.rows {
                let start = (row - first) * part.row_bytes;
                let bytes = &part.bytes[start..start + part.row_bytes];
                return Row { bytes, element: part.element, scale: part.scale };
            }
            first += part.rows;
        }
        panic!("row {row} of a matrix with {} rows", self.rows);
    }

    /// Columns `cols` of row `row` as f32, written to `out`.
    ///
    /// # Panics
    /// When row or columns do not exist, or `out` has another length.
    #[inline]
    pub fn read_row(&self, row: usize, cols: Range<usize>, out: &mut [f32]) {
        self.row(row).read(cols, out);
    }

    /// To be called after an operation that read all of it: the memory of parts that are streamed goes.
    pub fn used(&self) {
        for part in &self.parts {
            part.bytes.used();
        }
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

/// One row of a [`Matrix`] as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    bytes: &'a [u8],
    element: Element,
    scale: Option<f32>,
}

impl Row<'_> {
    /// Numbers that are decoded together: whoever reads in pieces cuts at multiples of it, since others are decoded
    /// twice.
    pub fn group(&self) -> usize {
        self.element.group()
    }

    /// The bytes, as [`Row::element`] says.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// How the numbers are stored.
    pub fn element(&self) -> Element {
        self.element
    }

    /// What all numbers are multiplied by while they are read.
    pub fn scale(&self) -> Option<f32> {
        self.scale
    }

    /// Columns `cols` as f32, written to `out`. Inlined, as the decoders are.
    ///
    /// # Panics
    /// When there are no such columns or `out` has another length.
    #[expect(clippy::inline_always, reason = "the hot loop of every packer, in another crate")]
    #[inline(always)]
    pub fn read(&self, cols: Range<usize>, out: &mut [f32]) {
        assert_eq!(cols.len(), out.len(), "columns {cols:?}");
        let group = self.element.group();
        if group == 1 || cols.start.is_multiple_of(group) && cols.end.is_multiple_of(group) {
            part_to_f32(self.bytes, self.element, cols.start, out);
        } else {
            self.read_across_groups(cols, out);
        }
        if let Some(scale) = self.scale {
            for value in out {
                *value *= scale;
            }
        }
    }

    /// Group `number` of [`GROUP`] numbers as integers.
    ///
    /// # Panics
    /// When there is no such group, or these are no integers ([`Element::integers`]).
    #[expect(clippy::inline_always, reason = "the hot loop of every packer, in another crate")]
    #[inline(always)]
    pub fn integers(&self, number: usize) -> Group {
        let mut group = group_of(self.bytes, self.element, number);
        if let Some(scale) = self.scale {
            group.factors = group.factors.map(|factor| factor * scale);
            group.offsets = group.offsets.map(|offset| offset * scale);
        }
        group
    }

    /// [`Row::read`] without the scale where columns begin or end inside a group.
    fn read_across_groups(&self, cols: Range<usize>, out: &mut [f32]) {
        let mut values = [0.0; GROUP];
        let mut start = cols.start;
        while start < cols.end {
            let (number, offset) = (start / GROUP, start % GROUP);
            let end = cols.end.min((number + 1) * GROUP);
            part_to_f32(self.bytes, self.element, number * GROUP, &mut values);
            out[start - cols.start..end - cols.start].copy_from_slice(&values[offset..offset + (end - start)]);
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::plain;
    use half::bf16;
    use proptest::prelude::*;

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
        assert!(Matrix::new(SharedBytes::new(vec![0_u8; 68]), Element::Q8_0, 4, 16).is_none(), "half blocks");
        assert!(Matrix::new(SharedBytes::new(vec![0_u8; 67]), Element::Q8_0, 2, 32).is_none());
        assert!(Matrix::new(SharedBytes::new(vec![0_u8; 4]), Element::F32, usize::MAX / 2, 8).is_none());
        assert!(Matrix::stack(&[counted(1, 2, 0), counted(1, 3, 0)]).is_none());
    }

    /// Type, rows, scale and bytes.
    type Stored = (Element, usize, Option<f32>, Vec<u8>);

    /// Parts of random types, rows and scales, all of one width.
    fn parts() -> impl Strategy<Value = (usize, Vec<Stored>)> {
        (1_usize..3).prop_flat_map(|blocks| {
            let cols = blocks * Element::LARGEST_BLOCK;
            let part = (prop::sample::select(&Element::ALL[..]), 0_usize..4, prop::option::of(-4.0_f32..4.0))
                .prop_flat_map(move |(element, rows, scale)| {
                    let length = rows * element.row_bytes(cols).unwrap();
                    prop::collection::vec(any::<u8>(), length).prop_map(move |bytes| (element, rows, scale, bytes))
                });
            (Just(cols), prop::collection::vec(part, 1..4))
        })
    }

    proptest! {
        #[test]
        fn rows_agree_with_the_plain_decoder(
            (cols, parts) in parts(),
            [one, other] in any::<[prop::sample::Index; 2]>(),
            [top, bottom] in any::<[prop::sample::Index; 2]>(),
        ) {
            let matrices: Vec<Matrix> = parts.iter().map(|(element, rows, scale, bytes)| {
                let matrix = Matrix::new(SharedBytes::new(bytes.clone()), *element, *rows, cols).unwrap();
                scale.map_or(matrix.clone(), |scale| matrix.scaled(scale))
            }).collect();
            let stacked = Matrix::stack(&matrices).unwrap();
            let expected: Vec<Vec<f32>> = parts.iter().flat_map(|(element, rows, scale, bytes)| {
                let row_bytes = element.row_bytes(cols).unwrap();
                (0..*rows).map(move |row| (0..cols).map(|col| {
                    let value = plain::number(&bytes[row * row_bytes..][..row_bytes], *element, col);
                    scale.map_or(value, |scale| value * scale)
                }).collect())
            }).collect();
            let sorted = |one: prop::sample::Index, other: prop::sample::Index, len: usize| {
                let (one, other) = (one.index(len + 1), other.index(len + 1));
                one.min(other)..one.max(other)
            };
            let rows = sorted(top, bottom, stacked.rows());
            let part = stacked.row_range(rows.clone());
            prop_assert_eq!(part.rows(), rows.len());
            let range = sorted(one, other, cols);
            let mut out = vec![0.0; range.len()];
            for (row, expected) in expected[rows].iter().enumerate() {
                part.row(row).read(range.clone(), &mut out);
                let same = out.iter().zip(&expected[range.clone()]).all(|(value, expected)| {
                    value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan()
                });
                prop_assert!(same, "row {row}, columns {range:?}");
            }
        }
    }
}
