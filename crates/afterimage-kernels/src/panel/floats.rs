//! f32.

use super::PanelNumbers;
use crate::pack::{PackMatrix, PackRows};
use crate::simd::{Kernel, Simd};
use crate::tile::{self, Sums};
use afterimage_tensors::Matrix;
use std::ops::Range;

/// f32, whatever a matrix is stored as.
#[derive(Clone, Copy)]
pub(crate) struct Floats;

impl PanelNumbers for Floats {
    const PER_UNIT: usize = 1;

    #[inline(always)]
    unsafe fn pack_rows<S: Simd>(
        x: &[f32],
        stride: usize,
        rows: Range<usize>,
        cols: Range<usize>,
        width: usize,
        panel: &mut [f32],
    ) {
        // SAFETY: this instruction set is the caller's promise.
        unsafe { PackRows { x, stride, rows, cols, width, panel }.run::<S>() };
    }

    #[inline(always)]
    unsafe fn pack_matrix<S: Simd>(
        matrix: &Matrix,
        rows: Range<usize>,
        cols: Range<usize>,
        width: usize,
        panel: &mut [f32],
    ) {
        // SAFETY: this instruction set is the caller's promise.
        unsafe { PackMatrix { matrix, rows, cols, width, panel }.run::<S>() };
    }

    #[inline(always)]
    fn join(rows: [Option<&[f32]>; 2], out: &mut [f32]) {
        if let [Some(row), _] = rows {
            out.copy_from_slice(row);
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(numbers: [S::V; 2], to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { S::store(to, numbers[0]) };
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        depth: usize,
        a: *const f32,
        a_width: usize,
        b: *const f32,
    ) -> Sums<S, ROWS> {
        // SAFETY: the caller's promise.
        unsafe { tile::multiply::<S, ROWS>(depth, a, a_width, |k| b.add(k * tile::columns::<S>())) }
    }
}
