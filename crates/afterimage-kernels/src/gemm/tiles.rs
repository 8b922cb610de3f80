//! bf16 in whole tiles (AMX): rows as they are, columns in the panels that [`Halves`] has.

use super::operands::Operands;
use super::shape::Rows;
use super::write::{Writing, prefetch, write};
use crate::panel::{Halves, PanelNumbers};
use crate::simd::tiles::{ROWS, SIDE, TileUnit};
use crate::simd::{Simd, nearest_bf16};
use crate::tile::{self, MAX_COLUMNS, Sums, TileOutput};
use afterimage_tensors::Matrix;
use std::marker::PhantomData;
use std::ops::Range;

/// Rows that are finished at once.
const FINISHED: usize = 8;

/// bf16, multiplied by `T`.
#[derive(Clone, Copy)]
pub(super) struct Tiled<T>(PhantomData<T>);

impl<T> Tiled<T> {
    pub const NEW: Self = Self(PhantomData);
}

/// Units of a depth, whole tiles.
#[inline(always)]
fn units(depth: usize) -> usize {
    Halves::units(depth).next_multiple_of(SIDE)
}

impl<T: TileUnit> Operands for Tiled<T> {
    const DOTS: bool = true;
    const GRAIN: usize = 2 * SIDE;

    #[inline(always)]
    fn tile_rows<S: Simd>() -> usize {
        ROWS
    }

    #[inline(always)]
    fn row_panel<S: Simd>(depth: usize) -> usize {
        ROWS * units(depth)
    }

    #[inline(always)]
    fn column_panel<S: Simd>(depth: usize) -> usize {
        tile::columns::<S>() * units(depth)
    }

    #[inline(always)]
    unsafe fn pack_rows<S: Simd>(self, x: Rows, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        let length = units(cols.len());
        panel.fill(0.0);
        for (row, panel) in rows.zip(panel.chunks_exact_mut(length.max(1))) {
            let (pairs, rest) = x.data[row * x.stride..][cols.clone()].as_chunks::<2>();
            for (unit, [low, high]) in panel.iter_mut().zip(pairs) {
                *unit = f32::from_bits(nearest_bf16(*low) | nearest_bf16(*high) << 16);
            }
            if let [last] = rest {
                panel[pairs.len()] = f32::from_bits(nearest_bf16(*last));
            }
        }
    }

    #[inline(always)]
    unsafe fn pack_columns<S: Simd>(self, weight: &Matrix, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        let width = tile::columns::<S>();
        panel[Halves::units(cols.len()) * width..].fill(0.0);
        // SAFETY: the caller's promise.
        unsafe { Halves::pack_matrix::<S>(weight, rows, cols, width, panel) };
    }

    #[inline(always)]
    unsafe fn tile<S: Simd>(self, depth: usize, a: *const f32, b: *const f32, writing: Writing, out: TileOutput) {
        let width = tile::columns::<S>();
        let mut sums = [0.0_f32; ROWS * MAX_COLUMNS];
        // SAFETY: the caller's promise; the panels are whole tiles deep, and `sums` has room for the widest.
        unsafe {
            prefetch::<S>(out);
            if depth > 0 {
                T::multiply(units(depth), a.cast(), b.cast(), width, sums.as_mut_ptr());
            }
            for first in (0..out.rows).step_by(FINISHED) {
                let of_row = |row: usize| {
                    let start = sums.as_ptr().add((first + row) * width);
                    [S::load(start), S::load(start.add(S::LANES))]
                };
                let part: Sums<S, FINISHED> = std::array::from_fn(of_row);
                let rows = (out.rows - first).min(FINISHED);
                write::<S, FINISHED>(
                    &part,
                    writing,
                    TileOutput { start: out.start.add(first * out.stride), rows, ..out },
                );
            }
        }
    }
}
