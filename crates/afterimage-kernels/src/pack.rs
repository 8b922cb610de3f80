//! Transposition of row-major operands into panels.
//!
//! A panel holds `width` rows of an operand side by side: number `k` of row `i` stands at `panel[k * width + i]`, so the
//! tile reads one contiguous group per step. Rows beyond the operand's end are zeros. Blocks of one vector's width are
//! transposed in registers.

use crate::simd::{Kernel, Simd};
use crate::tile::MAX_COLUMNS;
use afterimage_tensors::Matrix;
use std::ops::Range;

/// Numbers of a stored row that are converted at once; the staging block stays in the first-level cache.
const CHUNK: usize = 64;
/// Row distance in the staging block: one cache line more than a chunk, so that rows do not share cache sets.
const STAGE: usize = CHUNK + 16;

/// Lanes of the widest vector.
const WIDEST: usize = MAX_COLUMNS / 2;

/// Packs rows `rows` of `x` (row-major, `stride` numbers apart), columns `cols`, into `panel`.
pub struct PackRows<'a> {
    pub x: &'a [f32],
    pub stride: usize,
    pub rows: Range<usize>,
    pub cols: Range<usize>,
    pub width: usize,
    pub panel: &'a mut [f32],
}

impl Kernel for PackRows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { x, stride, rows, cols, width, panel } = self;
        assert!(rows.len() <= width && panel.len() >= cols.len() * width, "panel of {} rows", rows.len());
        if rows.is_empty() || cols.is_empty() {
            return;
        }
        assert!((rows.end - 1) * stride + cols.end <= x.len(), "operand of {} rows", rows.end);
        // SAFETY: both ends were checked above.
        unsafe {
            let from = x.as_ptr().add(rows.start * stride + cols.start);
            transpose::<S>(from, stride, rows.len(), cols.len(), panel.as_mut_ptr(), width);
        }
    }
}

/// Packs rows `rows` of a stored matrix, columns `cols`, into `panel`, converting to f32.
pub struct PackMatrix<'a> {
    pub matrix: &'a Matrix,
    pub rows: Range<usize>,
    pub cols: Range<usize>,
    pub width: usize,
    pub panel: &'a mut [f32],
}

impl Kernel for PackMatrix<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { matrix, rows, cols, width, panel } = self;
        assert!(
            rows.len() <= width && width <= MAX_COLUMNS && panel.len() >= cols.len() * width,
            "panel of {} rows",
            rows.len()
        );
        let stored: [_; MAX_COLUMNS] =
            std::array::from_fn(|row| (row < rows.len()).then(|| matrix.row(rows.start + row)));
        let mut stage = [0.0_f32; MAX_COLUMNS * STAGE];
        let quantised = stored.iter().flatten().any(|row| row.group() > 1);
        let mut start = cols.start;
        while start < cols.end {
            // A group that two chunks share would be decoded twice.
            let count = if quantised { CHUNK - start % CHUNK } else { CHUNK }.min(cols.end - start);
            for (row, stored) in stored.iter().enumerate() {
                if let Some(stored) = stored {
                    stored.read(start..start + count, &mut stage[row * STAGE..][..count]);
                }
            }
            // SAFETY: the stage has `rows` rows of at least `count` numbers, the panel was checked above.
            unsafe {
                let to = panel.as_mut_ptr().add((start - cols.start) * width);
                transpose::<S>(stage.as_ptr(), STAGE, rows.len(), count, to, width);
            }
            start += count;
        }
    }
}

/// `to[k * width + i] = from[i * stride + k]` for `i < rows`, zeros for the other `i < width`.
///
/// # Safety
/// `from` has `rows` rows of `depth` numbers, `to` room for `depth × width`; `S`'s instruction set is there.
#[inline(always)]
pub(crate) unsafe fn transpose<S: Simd>(
    from: *const f32,
    stride: usize,
    rows: usize,
    depth: usize,
    to: *mut f32,
    width: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let whole = depth - depth % S::LANES;
        for first in (0..width).step_by(S::LANES) {
            let group = (width - first).min(S::LANES);
            let present = rows.saturating_sub(first).min(group);
            let from = from.add(first * stride);
            let to = to.add(first);
            for k in (0..whole).step_by(S::LANES) {
                S::transpose(from.add(k), stride, present, to.add(k * width), width, group);
            }
            let rest = depth - whole;
            if rest == 0 {
                continue;
            }
            // Through blocks of whole vectors, which compilers do not turn into gathers.
            let (mut block, mut turned) = ([0.0_f32; WIDEST * WIDEST], [0.0_f32; WIDEST * WIDEST]);
            for row in 0..present {
                let to = block.as_mut_ptr().add(row * S::LANES);
                std::ptr::copy_nonoverlapping(from.add(row * stride + whole), to, rest);
            }
            S::transpose(block.as_ptr(), S::LANES, present, turned.as_mut_ptr(), S::LANES, group);
            for k in 0..rest {
                let from = turned.as_ptr().add(k * S::LANES);
                std::ptr::copy_nonoverlapping(from, to.add((whole + k) * width), group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, dispatch_on};

    #[test]
    fn panels_hold_columns_side_by_side_and_pad_with_zeros() {
        let (rows, cols) = (40, 131);
        let x: Vec<f32> = (0..rows * cols).map(|value| value as f32 + 1.0).collect();
        let matrix = Matrix::from_f32(&x, rows, cols);
        for isa in Isa::available() {
            for (width, count) in [(6, 4), (12, 12), (12, 5), (32, 32), (32, 17), (16, 16), (4, 1), (2, 0)] {
                let mut panel = vec![f32::NAN; (cols - 1) * width];
                let (rows, cols) = (1..1 + count, 1..cols);
                let from_rows = &mut panel.clone()[..];
                dispatch_on(
                    isa,
                    PackRows { x: &x, stride: 131, rows: rows.clone(), cols: cols.clone(), width, panel: from_rows },
                );
                dispatch_on(isa, PackMatrix { matrix: &matrix, rows, cols: cols.clone(), width, panel: &mut panel });
                for k in 0..cols.len() {
                    for i in 0..width {
                        let expected = if i < count { x[(i + 1) * 131 + k + 1] } else { 0.0 };
                        let at = k * width + i;
                        assert_eq!(panel[at].to_bits(), expected.to_bits(), "{isa:?} {width}: k {k}, row {i}");
                        // Nothing is packed of no rows.
                        if count > 0 {
                            assert_eq!(from_rows[at].to_bits(), expected.to_bits(), "{isa:?} {width}: k {k}, row {i}");
                        }
                    }
                }
            }
        }
    }
}
