//! The numbers that panels are made of, and the register tile over two panels of them.
//!
//! A panel holds `width` rows of an operand side by side, unit by unit of their depth (see `pack.rs`). A unit has the
//! four bytes of an f32: one number of f32, or two of bf16 that follow each other in depth.

mod floats;
mod halves;

pub(crate) use floats::Floats;
pub(crate) use halves::Halves;

use crate::simd::Simd;
use crate::tile::Sums;
use afterimage_tensors::Matrix;
use std::ops::Range;

/// A way to pack numbers and to multiply them.
///
/// # Safety
/// Every method may only run on a machine that has the instruction set; panels have the lengths that are named.
pub(crate) trait PanelNumbers: Copy + Send + Sync {
    /// Numbers of the depth in a unit.
    const PER_UNIT: usize;

    /// Whether they are narrow: [`crate::simd::Kernel::DOTS`].
    const DOTS: bool = Self::PER_UNIT > 1;

    /// Units of a depth; the last is filled with zeros.
    #[inline(always)]
    fn units(depth: usize) -> usize {
        depth.div_ceil(Self::PER_UNIT)
    }

    /// Packs rows `rows` of `x` (row-major, `stride` numbers apart), columns `cols`, into `panel` of `width` rows.
    unsafe fn pack_rows<S: Simd>(
        x: &[f32],
        stride: usize,
        rows: Range<usize>,
        cols: Range<usize>,
        width: usize,
        panel: &mut [f32],
    );

    /// Packs rows `rows` of a stored matrix, columns `cols`, into `panel` of `width` rows.
    unsafe fn pack_matrix<S: Simd>(
        matrix: &Matrix,
        rows: Range<usize>,
        cols: Range<usize>,
        width: usize,
        panel: &mut [f32],
    );

    /// Units from up to [`PanelNumbers::PER_UNIT`] rows of numbers that follow each other in depth; what lacks is zero.
    /// There is at least one row, and `out` is as long as each.
    fn join(rows: [Option<&[f32]>; 2], out: &mut [f32]);

    /// Writes a vector of units of [`PanelNumbers::PER_UNIT`] vectors of numbers that follow each other in depth.
    unsafe fn store<S: Simd>(numbers: [S::V; 2], to: *mut f32);

    /// `sums[i][j] = Σ_k a[k][i] · b[k][j]` over `depth` numbers; `a` is a panel of `a_width` rows, `b` one of two vectors.
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        depth: usize,
        a: *const f32,
        a_width: usize,
        b: *const f32,
    ) -> Sums<S, ROWS>;
}
