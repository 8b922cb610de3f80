//! Convolutions by their definition: the patch of a few output pixels is unfolded and multiplied.

use super::patch::PaddedInput;
use super::shape::{Convolution, Planes};
use crate::pack::PackMatrix;
use crate::scratch;
use crate::simd::{Isa, Kernel, Simd, dispatch_on};
use crate::tile::{self, MAX_COLUMNS, MAX_ROWS, SharedOutput, TileOutput, with_rows};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of the output that one task makes.
const TILE_HEIGHT: usize = 4;
/// Columns of the output that one task makes.
const TILE_WIDTH: usize = 64;
/// Depth (input channels × kernel area) that is unfolded at once.
const SLAB: usize = 432;

/// `convolution` of `input`; the caller has checked all lengths.
pub(super) fn convolve(isa: Isa, convolution: &Convolution, input: Planes, out: &mut [f32]) {
    let (outputs, depth) = (convolution.weight.rows(), convolution.weight.cols());
    let movement = convolution.movement;
    let (height, width) = (movement.output_side(input.height), movement.output_side(input.width));
    let tile_rows = crate::gemm::tile_of(isa).0;
    let panel_len = tile_rows * depth;
    let mut packed = scratch::take(outputs.div_ceil(tile_rows) * panel_len);
    let packed = &mut packed[..outputs.div_ceil(tile_rows) * panel_len];
    packed.par_chunks_mut(panel_len).enumerate().for_each(|(panel, out)| {
        let rows = panel * tile_rows..((panel + 1) * tile_rows).min(outputs);
        let pack = PackMatrix { matrix: convolution.weight, rows, cols: 0..depth, width: tile_rows, panel: out };
        dispatch_on(isa, pack);
    });
    let packed = &*packed;
    let across = width.div_ceil(TILE_WIDTH);
    let shared = SharedOutput(out.as_mut_ptr());
    (0..height.div_ceil(TILE_HEIGHT) * across).into_par_iter().for_each(|task| {
        let (y, x) = (task / across * TILE_HEIGHT, task % across * TILE_WIDTH);
        dispatch_on(
            isa,
            DirectTile {
                input: PaddedInput { convolution, planes: input },
                packed,
                rows: y..(y + TILE_HEIGHT).min(height),
                columns: x..(x + TILE_WIDTH).min(width),
                out: shared,
                out_size: (height, width),
            },
        );
    });
}

/// All output channels of a small rectangle of the output.
struct DirectTile<'a> {
    input: PaddedInput<'a>,
    /// The weight in panels of `TILE_ROWS` output channels, the whole depth each.
    packed: &'a [f32],
    rows: Range<usize>,
    columns: Range<usize>,
    out: SharedOutput,
    /// Height and width of an output plane.
    out_size: (usize, usize),
}

impl Kernel for DirectTile<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = tile::columns::<S>();
        let PaddedInput { convolution, planes } = self.input;
        let kernel = convolution.kernel;
        let area = kernel * kernel;
        let step = convolution.movement.step();
        let before = convolution.movement.before(kernel) as isize;
        let first_x = (self.columns.start * step) as isize - before;
        let (tile_height, tile_width) = (self.rows.len(), self.columns.len());
        let panels_across = tile_width.div_ceil(width);
        let panels = tile_height * panels_across;
        let patch_height = (tile_height - 1) * step + kernel;
        let patch_width = (panels_across * width - 1) * step + kernel;
        let slab_channels = (SLAB / area).clamp(1, planes.channels);
        let mut patch = scratch::take(slab_channels * patch_height * patch_width + MAX_COLUMNS);
        let mut unfolded = scratch::take(panels * slab_channels * area * width);
        let depth = convolution.weight.cols();
        let outputs = convolution.weight.rows();
        for first_channel in (0..planes.channels).step_by(slab_channels) {
            let channels = first_channel..(first_channel + slab_channels).min(planes.channels);
            let slab_depth = channels.len() * area;
            for (index, channel) in channels.clone().enumerate() {
                let plane = &mut patch[index * patch_height * patch_width..][..patch_height * patch_width];
                for (y, line) in plane.chunks_exact_mut(patch_width).enumerate() {
                    let y = (self.rows.start * step + y) as isize - before;
                    // SAFETY: this instruction set is the caller's promise.
                    unsafe { self.input.fill_line::<S>(channel, y, first_x, line) };
                }
            }
            for panel in 0..panels {
                let (row, column) = (panel / panels_across * step, panel % panels_across * width * step);
                let out = &mut unfolded[panel * slab_depth * width..][..slab_depth * width];
                for (k, group) in out.chunks_exact_mut(width).enumerate() {
                    let (channel, tap) = (k / area, k % area);
                    let start = (channel * patch_height + row + tap / kernel) * patch_width + column + tap % kernel;
                    if step == 1 {
                        // SAFETY: the patch holds `patch_width ≥ columns + kernel − 1` numbers a row.
                        unsafe {
                            let from = patch.as_ptr().add(start);
                            S::store(group.as_mut_ptr(), S::load(from));
                            S::store(group.as_mut_ptr().add(S::LANES), S::load(from.add(S::LANES)));
                        }
                    } else {
                        for (lane, value) in group.iter_mut().enumerate() {
                            *value = patch[start + lane * step];
                        }
                    }
                }
            }
            let writing = ConvolutionWriting { first: first_channel == 0, add: convolution.add || first_channel > 0 };
            for first in (0..outputs).step_by(S::TILE_ROWS) {
                let rows = (outputs - first).min(S::TILE_ROWS);
                let mut bias = [0.0_f32; MAX_ROWS];
                bias[..rows].copy_from_slice(&convolution.bias[first..first + rows]);
                for panel in 0..panels {
                    let (row, column) = (panel / panels_across, panel % panels_across * width);
                    let columns = (tile_width - column).min(width);
                    let (height, out_width) = self.out_size;
                    let y = self.rows.start + row;
                    // SAFETY: packed weights and unfolded patch hold `slab_depth` groups; the pixels lie inside the
                    // output and belong to this task.
                    unsafe {
                        let a = self.packed.as_ptr().add(first * depth + channels.start * area * S::TILE_ROWS);
                        let b = unfolded.as_ptr().add(panel * slab_depth * width);
                        let start = self.out.0.add((first * height + y) * out_width + self.columns.start + column);
                        let out = TileOutput { start, stride: height * out_width, rows, columns };
                        with_rows!(rows, one_tile::<S>(slab_depth, a, b, writing, &bias, out));
                    }
                }
            }
        }
    }
}

/// How a tile's sums reach the output.
#[derive(Clone, Copy)]
struct ConvolutionWriting {
    first: bool,
    add: bool,
}

/// # Safety
/// `a` and `b` are panels of `depth` groups; `out` can be written and is of this task alone.
#[inline(always)]
unsafe fn one_tile<S: Simd, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    writing: ConvolutionWriting,
    bias: &[f32; MAX_ROWS],
    out: TileOutput,
) {
    let width = tile::columns::<S>();
    let TileOutput { start, stride, rows, columns } = out;
    // SAFETY: the caller's promise; incomplete rows go through a local buffer.
    unsafe {
        for row in 0..rows {
            S::prefetch(start.add(row * stride));
        }
        let sums = tile::multiply::<S, ROWS>(depth, a, S::TILE_ROWS, |k| b.add(k * width));
        for (row, sums) in sums.iter().enumerate().take(rows) {
            let target = start.add(row * stride);
            let mut local = [0.0_f32; MAX_COLUMNS];
            let whole = columns == width;
            if !whole && writing.add {
                std::ptr::copy_nonoverlapping(target, local.as_mut_ptr(), columns);
            }
            let place = if whole { target } else { local.as_mut_ptr() };
            for (half, sum) in sums.iter().enumerate() {
                let place = place.add(half * S::LANES);
                let mut value = *sum;
                if writing.first {
                    value = S::add(value, S::splat(bias[row]));
                }
                if writing.add {
                    value = S::add(value, S::load(place));
                }
                S::store(place, value);
            }
            if !whole {
                std::ptr::copy_nonoverlapping(local.as_ptr(), target, columns);
            }
        }
    }
}
