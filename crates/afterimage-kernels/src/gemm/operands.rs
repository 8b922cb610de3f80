//! How the operands of a product are packed and multiplied: one way a type of numbers.

use super::shape::Rows;
use super::write::{Writing, prefetch, write};
use crate::panel::PanelNumbers;
use crate::simd::Simd;
use crate::tile::{self, TileOutput, with_rows};
use afterimage_tensors::Matrix;
use std::ops::Range;

/// A way to pack and multiply. Panels are made of f32 or of other numbers of four bytes, which are counted as f32 are.
///
/// # Safety
/// Every method may only run on a machine that has the instruction set; a panel has the length that the trait names.
pub(super) trait Operands: Copy + Send + Sync {
    /// [`crate::simd::Kernel::DOTS`]
    const DOTS: bool;
    /// Slabs are cut at multiples of it.
    const GRAIN: usize;

    /// Rows of the register tile.
    fn tile_rows<S: Simd>() -> usize;
    /// Numbers of a panel of rows.
    fn row_panel<S: Simd>(depth: usize) -> usize;
    /// Numbers of a panel of columns.
    fn column_panel<S: Simd>(depth: usize) -> usize;
    /// Packs rows of `x` (at most a tile's) into a panel.
    unsafe fn pack_rows<S: Simd>(self, x: Rows, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]);
    /// Packs rows of a weight (at most a tile's columns) into a panel.
    unsafe fn pack_columns<S: Simd>(self, weight: &Matrix, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]);
    /// Multiplies two panels and writes the tile.
    unsafe fn tile<S: Simd>(self, depth: usize, a: *const f32, b: *const f32, writing: Writing, out: TileOutput);
}

/// Numbers that need no more than their panels.
impl<N: PanelNumbers> Operands for N {
    const DOTS: bool = <N as PanelNumbers>::DOTS;
    const GRAIN: usize = N::PER_UNIT;

    #[inline(always)]
    fn tile_rows<S: Simd>() -> usize {
        S::TILE_ROWS
    }

    #[inline(always)]
    fn row_panel<S: Simd>(depth: usize) -> usize {
        S::TILE_ROWS * N::units(depth)
    }

    #[inline(always)]
    fn column_panel<S: Simd>(depth: usize) -> usize {
        tile::columns::<S>() * N::units(depth)
    }

    #[inline(always)]
    unsafe fn pack_rows<S: Simd>(self, x: Rows, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        // SAFETY: the caller's promise.
        unsafe { N::pack_rows::<S>(x.data, x.stride, rows, cols, S::TILE_ROWS, panel) };
    }

    #[inline(always)]
    unsafe fn pack_columns<S: Simd>(self, weight: &Matrix, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        // SAFETY: the caller's promise.
        unsafe { N::pack_matrix::<S>(weight, rows, cols, tile::columns::<S>(), panel) };
    }

    #[inline(always)]
    unsafe fn tile<S: Simd>(self, depth: usize, a: *const f32, b: *const f32, writing: Writing, out: TileOutput) {
        // SAFETY: the caller's promise.
        unsafe { with_rows!(out.rows, one_tile::<S, N>(depth, a, b, writing, out)) }
    }
}

/// # Safety
/// As [`Operands::tile`].
#[inline(always)]
unsafe fn one_tile<S: Simd, N: PanelNumbers, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    writing: Writing,
    out: TileOutput,
) {
    // SAFETY: the caller's promise.
    unsafe {
        prefetch::<S>(out);
        let sums = N::multiply::<S, ROWS>(depth, a, S::TILE_ROWS, b);
        write::<S, ROWS>(&sums, writing, out);
    }
}
