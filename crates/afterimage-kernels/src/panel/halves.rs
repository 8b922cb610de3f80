//! bf16: both operands are rounded, sums are f32.
//!
//! A unit is two numbers that follow each other in depth, as AVX-512's `vdpbf16ps` takes them.

use super::PanelNumbers;
use crate::pack::transpose;
use crate::simd::{Simd, nearest_bf16};
use crate::tile::{self, MAX_COLUMNS, Sums};
use afterimage_tensors::Matrix;
use std::ops::Range;

/// Numbers of a row that are packed at once.
const CHUNK: usize = 64;
/// Distance of rows in the staging block, in units: a cache line more than a chunk's.
const STAGE: usize = CHUNK / 2 + 16;

/// bf16.
#[derive(Clone, Copy)]
pub(crate) struct Halves;

/// Numbers as units; the last is filled with a zero.
#[inline(always)]
fn units(numbers: &[f32], out: &mut [u32]) {
    let (pairs, rest) = numbers.as_chunks::<2>();
    for (unit, [low, high]) in out.iter_mut().zip(pairs) {
        *unit = nearest_bf16(*low) | nearest_bf16(*high) << 16;
    }
    if let ([last], Some(unit)) = (rest, out.get_mut(pairs.len())) {
        *unit = nearest_bf16(*last);
    }
}

impl PanelNumbers for Halves {
    const PER_UNIT: usize = 2;

    #[inline(always)]
    unsafe fn pack_rows<S: Simd>(
        x: &[f32],
        stride: usize,
        rows: Range<usize>,
        cols: Range<usize>,
        width: usize,
        panel: &mut [f32],
    ) {
        let count = rows.len();
        assert!(count <= width && width <= MAX_COLUMNS, "panel of {count} rows");
        assert!(panel.len() >= Self::units(cols.len()) * width, "panel of {count} rows");
        let mut stage = [0_u32; MAX_COLUMNS * STAGE];
        for start in cols.clone().step_by(CHUNK) {
            let chunk = CHUNK.min(cols.end - start);
            for (index, row) in rows.clone().enumerate() {
                units(&x[row * stride + start..][..chunk], &mut stage[index * STAGE..][..CHUNK / 2]);
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
    unsafe fn pack_matrix<S: Simd>(
        matrix: &Matrix,
        rows: Range<usize>,
        cols: Range<usize>,
        width: usize,
        panel: &mut [f32],
    ) {
        let count = rows.len();
        assert!(count <= width && width <= MAX_COLUMNS, "panel of {count} rows");
        assert!(panel.len() >= Self::units(cols.len()) * width, "panel of {count} rows");
        let mut stage = [0_u32; MAX_COLUMNS * STAGE];
        let mut numbers = [0.0_f32; CHUNK];
        let stored: [_; MAX_COLUMNS] = std::array::from_fn(|row| (row < count).then(|| matrix.row(rows.start + row)));
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
    fn join(rows: [Option<&[f32]>; 2], out: &mut [f32]) {
        match rows {
            [Some(low), Some(high)] => {
                for (unit, (low, high)) in out.iter_mut().zip(low.iter().zip(high)) {
                    *unit = f32::from_bits(nearest_bf16(*low) | nearest_bf16(*high) << 16);
                }
            }
            [Some(row), None] | [None, Some(row)] => {
                for (unit, low) in out.iter_mut().zip(row) {
                    *unit = f32::from_bits(nearest_bf16(*low));
                }
            }
            [None, None] => out.fill(0.0),
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(numbers: [S::V; 2], to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { S::store_bf16(to.cast(), numbers[0], numbers[1]) };
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        depth: usize,
        a: *const f32,
        a_width: usize,
        b: *const f32,
    ) -> Sums<S, ROWS> {
        // SAFETY: the caller's promise.
        unsafe {
            let (mut a, mut b) = (a.cast::<u32>(), b.cast::<u32>());
            let mut sums: Sums<S, ROWS> = [[S::splat(0.0); 2]; ROWS];
            for _ in 0..Self::units(depth) {
                let (left, right) = (S::load_units(b), S::load_units(b.add(S::LANES)));
                for (row, sum) in sums.iter_mut().enumerate() {
                    let numbers = S::splat_unit(*a.add(row));
                    sum[0] = S::dot_bf16(left, numbers, sum[0]);
                    sum[1] = S::dot_bf16(right, numbers, sum[1]);
                }
                a = a.add(a_width);
                b = b.add(tile::columns::<S>());
            }
            sums
        }
    }
}
