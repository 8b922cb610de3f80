//! Planes to tokens and back.

use crate::host::HostBuffer;
use crate::operation::Transpose;
use crate::view::ViewMut;
use rayon::prelude::*;

/// Rows of the output that one task writes: a cache line of each row that it reads.
const ROWS: usize = 16;

pub(super) fn transpose(transpose: &Transpose<HostBuffer>, mut out: ViewMut<HostBuffer>) {
    let Transpose { input, affine, add } = transpose;
    let (numbers, stride, out_stride) = (input.numbers(), input.stride, out.stride.max(1));
    let affine: Vec<&[f32]> = affine.iter().flat_map(crate::view::View::each_row).collect();
    out.numbers().par_chunks_mut(ROWS * out_stride).enumerate().for_each(|(block, out)| {
        let first = block * ROWS;
        for row in 0..input.rows {
            let source = &numbers[row * stride + first..][..out.len().div_ceil(out_stride)];
            for (value, line) in source.iter().zip(out.chunks_mut(out_stride)) {
                let value = match affine[..] {
                    [scale, shift] => value * scale[row] + shift[row],
                    _ => *value,
                };
                line[row] = if *add { line[row] + value } else { value };
            }
        }
    });
}
