//! From the sums of a tile to the output: bias, activation, gated residual.

use crate::simd::Simd;
use crate::tile::{self, MAX_COLUMNS, MAX_ROWS, Sums, TileOutput};

/// How a tile's sums reach the output.
#[derive(Clone, Copy)]
pub(super) struct Writing {
    /// Whether they are added to what is there, times the gate.
    pub add: bool,
    /// Whether this is the first of the sums that make a number: the one with the bias.
    pub first: bool,
    /// Whether GELU follows.
    pub gelu: bool,
    /// The bias of the tile's columns, whole vectors.
    pub bias: *const f32,
    /// The gate of the tile's columns, whole vectors.
    pub gate: *const f32,
}

/// Asks for the lines of an output that is far larger than the caches: they arrive while the tile is summed.
///
/// # Safety
/// The machine has `S`'s instruction set.
#[inline(always)]
pub(super) unsafe fn prefetch<S: Simd>(out: TileOutput) {
    let TileOutput { start, stride, rows, columns } = out;
    for row in 0..rows {
        // SAFETY: the caller's promise; a prefetch need not be readable.
        unsafe {
            S::prefetch(start.wrapping_add(row * stride));
            S::prefetch(start.wrapping_add(row * stride + columns - 1));
        }
    }
}

/// # Safety
/// The machine has `S`'s instruction set; `out` can be written and is of this task alone; bias and gate are two vectors.
#[inline(always)]
pub(super) unsafe fn write<S: Simd, const ROWS: usize>(sums: &Sums<S, ROWS>, writing: Writing, out: TileOutput) {
    let width = tile::columns::<S>();
    let TileOutput { start, stride, rows, columns } = out;
    // SAFETY: the caller's promise. A tile that reaches over the output's edge is finished in a local buffer of whole
    // vectors and only its inside is copied.
    unsafe {
        if columns == width && rows == ROWS {
            write_whole::<S, ROWS>(sums, writing, start, stride);
        } else {
            let mut local = [0.0_f32; MAX_ROWS * MAX_COLUMNS];
            for row in 0..rows {
                std::ptr::copy_nonoverlapping(start.add(row * stride), local.as_mut_ptr().add(row * width), columns);
            }
            write_whole::<S, ROWS>(sums, writing, local.as_mut_ptr(), width);
            for row in 0..rows {
                std::ptr::copy_nonoverlapping(local.as_ptr().add(row * width), start.add(row * stride), columns);
            }
        }
    }
}

/// # Safety
/// `out` holds `ROWS` rows of two vectors.
#[inline(always)]
unsafe fn write_whole<S: Simd, const ROWS: usize>(
    sums: &Sums<S, ROWS>,
    writing: Writing,
    out: *mut f32,
    out_stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for (row, sums) in sums.iter().enumerate() {
            for (half, sum) in sums.iter().enumerate() {
                let offset = half * S::LANES;
                let target = out.add(row * out_stride + offset);
                let mut value = *sum;
                if writing.first {
                    value = S::add(value, S::load(writing.bias.add(offset)));
                }
                if writing.add {
                    value = S::fma(value, S::load(writing.gate.add(offset)), S::load(target));
                } else if !writing.first {
                    value = S::add(value, S::load(target));
                }
                if writing.gelu {
                    value = S::gelu_tanh(value);
                }
                S::store(target, value);
            }
        }
    }
}
