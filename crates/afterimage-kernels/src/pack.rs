//! Transposition of row-major operands into panels.
//!
//! A panel holds `width` rows of an operand side by side: number `k` of row `i` stands at `panel[k * width + i]`, so the
//! tile reads one contiguous group per step. Rows beyond the operand's end are zeros.

use crate::matrix::{Matrix, to_f32};
use crate::tile::MAX_COLUMNS;
use std::ops::Range;

/// Numbers transposed at once; the staging block stays in the first-level cache.
const CHUNK: usize = 64;
/// Row distance in the staging block: odd, so that a column's reads spread over all cache sets.
const STAGE: usize = CHUNK + 1;

/// Packs rows `rows` of `x` (row-major, `stride` numbers apart), columns `cols`, into `panel`.
pub fn pack_rows(x: &[f32], stride: usize, rows: Range<usize>, cols: Range<usize>, width: usize, panel: &mut [f32]) {
    pack_with(rows.len(), cols.len(), width, panel, |row, columns, out| {
        let start = (rows.start + row) * stride + cols.start;
        out.copy_from_slice(&x[start + columns.start..start + columns.end]);
    });
}

/// Packs rows `rows` of a stored matrix, columns `cols`, into `panel`, converting to f32.
pub fn pack_matrix(matrix: &Matrix, rows: Range<usize>, cols: Range<usize>, width: usize, panel: &mut [f32]) {
    let stored: [_; MAX_COLUMNS] = std::array::from_fn(|row| (row < rows.len()).then(|| matrix.row(rows.start + row)));
    pack_with(rows.len(), cols.len(), width, panel, |row, columns, out| {
        if let Some((bytes, element)) = stored[row] {
            let start = cols.start + columns.start;
            to_f32(&bytes[start * element.size()..(start + columns.len()) * element.size()], element, out);
        }
    });
}

#[inline(always)]
fn pack_with(
    rows: usize,
    depth: usize,
    width: usize,
    panel: &mut [f32],
    read: impl Fn(usize, Range<usize>, &mut [f32]),
) {
    assert!(rows <= width && width <= MAX_COLUMNS && panel.len() >= depth * width, "panel of {rows} rows");
    let mut stage = [0.0_f32; MAX_COLUMNS * STAGE];
    for start in (0..depth).step_by(CHUNK) {
        let columns = start..(start + CHUNK).min(depth);
        for row in 0..rows {
            read(row, columns.clone(), &mut stage[row * STAGE..][..columns.len()]);
        }
        for (column, group) in panel[start * width..columns.end * width].chunks_exact_mut(width).enumerate() {
            for (row, value) in group.iter_mut().enumerate() {
                *value = stage[row * STAGE + column];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_hold_columns_side_by_side_and_pad_with_zeros() {
        let (rows, cols, width) = (5, 131, 6);
        let x: Vec<f32> = (0..rows * cols).map(|value| value as f32 + 1.0).collect();
        let mut panel = vec![f32::NAN; (cols - 1) * width];
        pack_rows(&x, cols, 1..5, 1..cols, width, &mut panel);
        let mut from_matrix = panel.clone();
        pack_matrix(&Matrix::from_f32(x.clone(), rows, cols), 1..5, 1..cols, width, &mut from_matrix);
        assert_eq!(panel, from_matrix);
        for k in 0..cols - 1 {
            for i in 0..width {
                let expected = if i < 4 { x[(i + 1) * cols + k + 1] } else { 0.0 };
                assert_eq!(panel[k * width + i].to_bits(), expected.to_bits(), "k {k}, row {i}");
            }
        }
    }
}
