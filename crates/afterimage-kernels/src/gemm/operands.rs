//! How the operands of a product are packed and multiplied: one way a type of numbers.

use super::shape::Rows;
use super::write::{Writing, prefetch, write};
use crate::pack::{PackMatrix, PackRows};
use crate::simd::{Kernel, Simd};
use crate::tile::{self, TileOutput, with_rows};
use afterimage_tensors::Matrix;
use std::ops::Range;

/// A way to pack and multiply. Panels are made of f32 or of other numbers of four bytes, which are counted as f32 are.
///
/// # Safety
/// Every method may only run on a machine that has the instruction set; a panel has the length that the trait names.
pub(super) trait Operands: Copy + Send + Sync {
    /// Slabs are cut at multiples of it.
    const GRAIN: usize;
    /// Whether a task goes down all rows with one panel of columns before it takes the next: where a panel of columns
    /// fits the first-level cache and panels of rows are too short to hide loading it again.
    const COLUMNS_FIRST: bool;

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

/// f32, whatever the weights are stored as.
#[derive(Clone, Copy)]
pub(super) struct Floats;

impl Operands for Floats {
    const GRAIN: usize = 1;
    const COLUMNS_FIRST: bool = false;

    #[inline(always)]
    fn tile_rows<S: Simd>() -> usize {
        S::TILE_ROWS
    }

    #[inline(always)]
    fn row_panel<S: Simd>(depth: usize) -> usize {
        S::TILE_ROWS * depth
    }

    #[inline(always)]
    fn column_panel<S: Simd>(depth: usize) -> usize {
        tile::columns::<S>() * depth
    }

    #[inline(always)]
    unsafe fn pack_rows<S: Simd>(self, x: Rows, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        let pack = PackRows { x: x.data, stride: x.stride, rows, cols, width: S::TILE_ROWS, panel };
        // SAFETY: this instruction set is the caller's promise.
        unsafe { pack.run::<S>() };
    }

    #[inline(always)]
    unsafe fn pack_columns<S: Simd>(self, weight: &Matrix, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        let pack = PackMatrix { matrix: weight, rows, cols, width: tile::columns::<S>(), panel };
        // SAFETY: this instruction set is the caller's promise.
        unsafe { pack.run::<S>() };
    }

    #[inline(always)]
    unsafe fn tile<S: Simd>(self, depth: usize, a: *const f32, b: *const f32, writing: Writing, out: TileOutput) {
        // SAFETY: the caller's promise.
        unsafe { with_rows!(out.rows, one_tile::<S>(depth, a, b, writing, out)) }
    }
}

/// # Safety
/// As [`Operands::tile`].
#[inline(always)]
unsafe fn one_tile<S: Simd, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    writing: Writing,
    out: TileOutput,
) {
    let width = tile::columns::<S>();
    // SAFETY: the caller's promise.
    unsafe {
        prefetch::<S>(out);
        let sums = tile::multiply::<S, ROWS>(depth, a, S::TILE_ROWS, |k| b.add(k * width));
        write::<S, ROWS>(&sums, writing, out);
    }
}
