//! Products of bf16 numbers: both operands are rounded to bf16, sums are f32.
//!
//! A unit is two numbers that follow each other in depth, as AVX-512's `vdpbf16ps` takes them.

use super::operands::Operands;
use super::shape::Rows;
use super::write::{Writing, prefetch, write};
use crate::pack::transpose;
use crate::simd::Simd;
use crate::tile::{self, MAX_COLUMNS, MAX_ROWS, Sums, TileOutput, with_rows};
use afterimage_tensors::Matrix;
use std::ops::Range;

/// Numbers of a row that are packed at once.
const CHUNK: usize = 64;
/// Distance of rows in the staging block, in units: a cache line more than a chunk's.
const STAGE: usize = CHUNK / 2 + 16;

/// bf16.
#[derive(Clone, Copy)]
pub(super) struct Halves;

/// The upper half of a number, rounded to the nearest, halves to even; what is no number stays none.
#[inline(always)]
fn rounded(number: f32) -> u32 {
    let bits = number.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if number.is_nan() { bits >> 16 | 0x40 } else { nearest }
}

/// Numbers as units; the last is filled with a zero.
#[inline(always)]
fn units(numbers: &[f32], out: &mut [u32]) {
    let (pairs, rest) = numbers.as_chunks::<2>();
    for (unit, [low, high]) in out.iter_mut().zip(pairs) {
        *unit = rounded(*low) | rounded(*high) << 16;
    }
    if let ([last], Some(unit)) = (rest, out.get_mut(pairs.len())) {
        *unit = rounded(*last);
    }
}

impl Operands for Halves {
    const GRAIN: usize = 2;
    const COLUMNS_FIRST: bool = false;

    #[inline(always)]
    fn tile_rows<S: Simd>() -> usize {
        S::TILE_ROWS
    }

    #[inline(always)]
    fn row_panel<S: Simd>(depth: usize) -> usize {
        depth.div_ceil(2) * S::TILE_ROWS
    }

    #[inline(always)]
    fn column_panel<S: Simd>(depth: usize) -> usize {
        depth.div_ceil(2) * tile::columns::<S>()
    }

    #[inline(always)]
    unsafe fn pack_rows<S: Simd>(self, x: Rows, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        let (width, count) = (S::TILE_ROWS, rows.len());
        assert!(count <= width && panel.len() >= Self::row_panel::<S>(cols.len()), "panel of {count} rows");
        let mut stage = [0_u32; MAX_ROWS * STAGE];
        for start in cols.clone().step_by(CHUNK) {
            let chunk = CHUNK.min(cols.end - start);
            for (index, row) in rows.clone().enumerate() {
                units(&x.data[row * x.stride + start..][..chunk], &mut stage[index * STAGE..][..CHUNK / 2]);
            }
            // SAFETY: the stage has `width` rows of a chunk's units, the panel was checked above; this instruction set is
            // the caller's promise.
            unsafe {
                let to = panel.as_mut_ptr().add((start - cols.start) / 2 * width);
                transpose::<S>(stage.as_ptr().cast(), STAGE, count, chunk.div_ceil(2), to, width);
            }
        }
    }

    #[inline(always)]
    unsafe fn pack_columns<S: Simd>(self, weight: &Matrix, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        let (width, count) = (tile::columns::<S>(), rows.len());
        assert!(count <= width && panel.len() >= Self::column_panel::<S>(cols.len()), "panel of {count} rows");
        let mut stage = [0_u32; MAX_COLUMNS * STAGE];
        let mut numbers = [0.0_f32; CHUNK];
        let stored: [_; MAX_COLUMNS] = std::array::from_fn(|row| (row < count).then(|| weight.row(rows.start + row)));
        for start in cols.clone().step_by(CHUNK) {
            let chunk = CHUNK.min(cols.end - start);
            for (index, row) in stored.iter().flatten().enumerate() {
                row.read(start..start + chunk, &mut numbers[..chunk]);
                units(&numbers[..chunk], &mut stage[index * STAGE..][..CHUNK / 2]);
            }
            // SAFETY: as in `pack_rows`.
            unsafe {
                let to = panel.as_mut_ptr().add((start - cols.start) / 2 * width);
                transpose::<S>(stage.as_ptr().cast(), STAGE, count, chunk.div_ceil(2), to, width);
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd>(self, depth: usize, a: *const f32, b: *const f32, writing: Writing, out: TileOutput) {
        // SAFETY: the caller's promise.
        unsafe { with_rows!(out.rows, one_tile::<S>(depth.div_ceil(2), a, b, writing, out)) }
    }
}

/// # Safety
/// As [`Operands::tile`], `depth` in units.
#[inline(always)]
unsafe fn one_tile<S: Simd, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    writing: Writing,
    out: TileOutput,
) {
    // SAFETY: the caller's promise.
    unsafe {
        prefetch::<S>(out);
        let (mut a, mut b) = (a.cast::<u32>(), b.cast::<u32>());
        let mut sums: Sums<S, ROWS> = [[S::splat(0.0); 2]; ROWS];
        for _ in 0..depth {
            let (left, right) = (S::load_units(b), S::load_units(b.add(S::LANES)));
            for (row, sum) in sums.iter_mut().enumerate() {
                let numbers = S::splat_unit(*a.add(row));
                sum[0] = S::dot_bf16(left, numbers, sum[0]);
                sum[1] = S::dot_bf16(right, numbers, sum[1]);
            }
            a = a.add(S::TILE_ROWS);
            b = b.add(tile::columns::<S>());
        }
        write::<S, ROWS>(&sums, writing, out);
    }
}
