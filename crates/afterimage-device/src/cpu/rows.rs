//! Passes over the rows of views, parallel, in pieces that repay handing them to another thread.

use crate::host::HostBuffer;
use crate::view::{View, ViewMut};
use rayon::prelude::*;

/// Numbers that one task handles.
const NUMBERS_PER_TASK: usize = 16 * 1024;

/// Calls `function` for pieces of `x`: whole rows, or parts of them where nothing stands between the rows.
pub(super) fn each(mut x: ViewMut<HostBuffer>, function: impl Fn(&mut [f32]) + Sync) {
    let (rows, cols, stride) = (x.rows, x.cols.max(1), x.stride.max(1));
    let numbers = x.numbers();
    if stride == cols || rows <= 1 {
        numbers.par_chunks_mut(NUMBERS_PER_TASK).for_each(&function);
    } else {
        numbers.par_chunks_mut(task_rows(cols) * stride).for_each(|rows| {
            rows.chunks_mut(stride).for_each(|row| function(&mut row[..cols]));
        });
    }
}

/// Calls `function` for pieces of `x` and the pieces of `y` at the same place; a single row of `y` goes with every row.
pub(super) fn each_pair(mut x: ViewMut<HostBuffer>, y: View<HostBuffer>, function: impl Fn(&mut [f32], &[f32]) + Sync) {
    let (cols, stride, y_stride) = (x.cols.max(1), x.stride.max(1), y.stride.max(1));
    let gapless = x.rows <= 1 || (stride == cols && y_stride == cols && y.rows == x.rows);
    let (numbers, others) = (x.numbers(), y.numbers());
    if gapless {
        let pieces = numbers.par_chunks_mut(NUMBERS_PER_TASK).zip(others.par_chunks(NUMBERS_PER_TASK));
        pieces.for_each(|(x, y)| function(x, y));
        return;
    }
    let task = task_rows(cols);
    numbers.par_chunks_mut(task * stride).enumerate().for_each(|(block, rows)| {
        for (index, row) in rows.chunks_mut(stride).enumerate() {
            let other = if y.rows == 1 { 0 } else { (block * task + index) * y_stride };
            function(&mut row[..cols], &others[other..other + cols]);
        }
    });
}

/// Calls `function(row of x, row of out)` for every row.
pub(super) fn map(x: View<HostBuffer>, mut out: ViewMut<HostBuffer>, function: impl Fn(&[f32], &mut [f32]) + Sync) {
    let (cols, stride, out_stride) = (x.cols.max(1), x.stride.max(1), out.stride.max(1));
    let task = task_rows(cols);
    let (from, to) = (x.numbers(), out.numbers());
    to.par_chunks_mut(task * out_stride).zip(from.par_chunks(task * stride)).for_each(|(to, from)| {
        for (to, from) in to.chunks_mut(out_stride).zip(from.chunks(stride)) {
            function(&from[..cols], &mut to[..cols]);
        }
    });
}

/// What `function` makes of every row of `x` and the row of `y` at the same place, in their order.
pub(super) fn map_pairs<T: Send>(
    x: View<HostBuffer>,
    y: View<HostBuffer>,
    function: impl Fn(&[f32], &[f32]) -> T + Sync,
) -> Vec<T> {
    let (cols, stride, y_stride) = (x.cols.max(1), x.stride.max(1), y.stride.max(1));
    let rows = x.numbers().par_chunks(stride).zip(y.numbers().par_chunks(y_stride));
    rows.with_min_len(task_rows(cols)).map(|(x, y)| function(&x[..cols], &y[..cols])).collect()
}

fn task_rows(cols: usize) -> usize {
    NUMBERS_PER_TASK.div_ceil(cols)
}
