//! A matrix product: what goes in, and what becomes of it.

use crate::simd::Isa;
use crate::tile::SharedOutput;
use afterimage_tensors::Matrix;

/// Rows of f32 inside a wider buffer: row `i` is `data[i * stride..][..cols]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The buffer; the last row may be cut after its last used number.
    pub data: &'a [f32],
    /// Number of rows.
    pub rows: usize,
    /// Numbers from one row to the next.
    pub stride: usize,
}

/// Like [`Rows`], for writing.
#[derive(Debug)]
pub struct RowsMut<'a> {
    /// The buffer.
    pub data: &'a mut [f32],
    /// Numbers from one row to the next.
    pub stride: usize,
}

/// One product of a sum of them: `x · weightᵀ`.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a> {
    /// `[rows, weight.cols()]`
    pub x: Rows<'a>,
    /// `[columns, depth]`
    pub weight: &'a Matrix,
}

impl Term<'_> {
    /// The term of `rows` rows from `first` on.
    pub(super) fn rows_from(self, first: usize, rows: usize) -> Self {
        let Rows { data, stride, .. } = self.x;
        Self { x: Rows { data: &data[first * stride..], rows, stride }, ..self }
    }
}

/// What happens to `y = x · weightᵀ + bias`.
#[derive(Clone, Copy, Debug)]
pub enum Finish<'a> {
    /// `out = y`
    Store,
    /// `out = gelu_tanh(y)`
    Gelu,
    /// `out += y`
    Add,
    /// `out += gate * y`, one gate a column: the residual connection of a modulated transformer block.
    AddGated(&'a [f32]),
}

/// What numbers may be rounded to before they are multiplied; nothing unless told. Sums are exact within a group of
/// integers, else f32. Products of up to three rows stay exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Narrow {
    /// Weights in blocks are multiplied as the integers that they are, with the exact factors of the blocks, by rows that
    /// are rounded to 8 bits in spans of 512.
    pub integers: bool,
    /// Other weights, and the rows that they are multiplied with, are rounded to bf16. Faster than f32 where
    /// [`Isa::has_fast_bf16`] only.
    pub bf16: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) isa: Isa,
    pub(super) narrow: Narrow,
    pub(super) terms: &'a [Term<'a>],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) finish: Finish<'a>,
    pub(super) out: SharedOutput,
    pub(super) out_stride: usize,
}
