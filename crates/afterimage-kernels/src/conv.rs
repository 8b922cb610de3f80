//! Two-dimensional convolutions over planes `[channels, height, width]` with what surrounds them in a VAE fused in.
//!
//! The input is never copied as a whole: a task takes a small tile of the output, brings the patch of the input it
//! needs into its cache, where normalisation, activation, zero padding and nearest-neighbour enlargement are applied on the
//! way, unfolds it there, and multiplies. Memory beyond input and output: the packed weights and about 1 MB a thread.

use crate::pack::PackMatrix;
use crate::scratch;
use crate::simd::{Isa, Kernel, Simd, dispatch_on};
use crate::tile::{self, MAX_COLUMNS, MAX_ROWS, SharedOutput, TileOutput, with_rows};
use afterimage_tensors::Matrix;
use rayon::prelude::*;
use std::ops::Range;

/// Rows of the output that one task makes.
const TILE_HEIGHT: usize = 4;
/// Columns of the output that one task makes.
const TILE_WIDTH: usize = 64;
/// Depth (input channels × kernel area) that is unfolded at once.
const SLAB: usize = 432;

/// What is done to the input on its way in.
#[derive(Clone, Copy, Debug)]
pub enum Prelude<'a> {
    /// Nothing.
    None,
    /// `silu(x * scale[channel] + shift[channel])`: a group norm (its statistics folded into scale and shift by
    /// [`crate::norm::group_norm_affine`]) and its activation. Padding is added after it.
    AffineSilu {
        /// One number an input channel.
        scale: &'a [f32],
        /// One number an input channel.
        shift: &'a [f32],
    },
}

/// How the kernel moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// Step 1, zero padding of half the kernel on all sides: the output has the input's size.
    Same,
    /// Step 2, one column and row of zeros on the right and bottom only: half the size (the VAE's down-sampling).
    Halve,
    /// Step 2, zero padding of half the kernel on all sides: half the size, rounded up (a residual network's down-sampling).
    Strided,
    /// Each input pixel doubled in both directions first, then as `Same`: twice the size (the VAE's up-sampling).
    Double,
}

impl Movement {
    /// Height or width of the output for an input of `side`.
    pub const fn output_side(self, side: usize) -> usize {
        match self {
            Self::Same => side,
            Self::Halve => side / 2,
            Self::Strided => side.div_ceil(2),
            Self::Double => side * 2,
        }
    }

    /// Pixels from one position of the kernel to the next.
    pub(crate) const fn step(self) -> usize {
        match self {
            Self::Halve | Self::Strided => 2,
            Self::Same | Self::Double => 1,
        }
    }

    /// Rows and columns of padding before the first pixel, for a `kernel` of that side.
    pub(crate) const fn before(self, kernel: usize) -> usize {
        match self {
            Self::Halve => 0,
            Self::Same | Self::Strided | Self::Double => kernel / 2,
        }
    }
}

/// A picture in planes: `data[(channel * height + y) * width + x]`.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Planes.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
}

/// One convolution.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// `[outputs, inputs × kernel × kernel]`, as a `[outputs, inputs, kernel, kernel]` tensor is stored.
    pub weight: &'a Matrix,
    /// One number an output channel.
    pub bias: &'a [f32],
    /// Side of the square kernel, odd.
    pub kernel: usize,
    /// How it moves.
    pub movement: Movement,
    /// What is done to the input first.
    pub prelude: Prelude<'a>,
    /// Whether the result is added to what `out` holds (a residual connection) instead of replacing it.
    pub add: bool,
}

impl Convolution<'_> {
    /// Convolves `input` into `out`, planes of [`Movement::output_side`].
    ///
    /// # Panics
    /// When a length does not fit.
    pub fn run(&self, input: Planes, out: &mut [f32]) {
        self.run_on(Isa::detect(), input, out);
    }

    /// [`Convolution::run`] with a chosen instruction set.
    ///
    /// # Panics
    /// As [`Convolution::run`].
    pub fn run_on(&self, isa: Isa, input: Planes, out: &mut [f32]) {
        let area = self.kernel * self.kernel;
        let (outputs, depth) = (self.weight.rows(), self.weight.cols());
        let (height, width) = (self.movement.output_side(input.height), self.movement.output_side(input.width));
        assert!(self.kernel % 2 == 1, "odd kernels only");
        assert_eq!(depth, input.channels * area, "weight of {} input channels", input.channels);
        assert_eq!(input.data.len(), input.channels * input.height * input.width, "input planes");
        assert_eq!(out.len(), outputs * height * width, "output planes");
        assert_eq!(self.bias.len(), outputs, "bias");
        if let Prelude::AffineSilu { scale, shift } = self.prelude {
            assert!(scale.len() == input.channels && shift.len() == input.channels, "scale and shift per channel");
        }
        if outputs == 0 || height == 0 || width == 0 {
            return;
        }
        let tile_rows = crate::gemm::tile_of(isa).0;
        let panel_len = tile_rows * depth;
        let mut packed = scratch::take(outputs.div_ceil(tile_rows) * panel_len);
        let packed = &mut packed[..outputs.div_ceil(tile_rows) * panel_len];
        packed.par_chunks_mut(panel_len).enumerate().for_each(|(panel, out)| {
            let rows = panel * tile_rows..((panel + 1) * tile_rows).min(outputs);
            let pack = PackMatrix { matrix: self.weight, rows, cols: 0..depth, width: tile_rows, panel: out };
            dispatch_on(isa, pack);
        });
        let packed = &*packed;
        let across = width.div_ceil(TILE_WIDTH);
        let shared = SharedOutput(out.as_mut_ptr());
        (0..height.div_ceil(TILE_HEIGHT) * across).into_par_iter().for_each(|task| {
            let (y, x) = (task / across * TILE_HEIGHT, task % across * TILE_WIDTH);
            dispatch_on(
                isa,
                Tile {
                    convolution: self,
                    input,
                    packed,
                    rows: y..(y + TILE_HEIGHT).min(height),
                    columns: x..(x + TILE_WIDTH).min(width),
                    out: shared,
                    out_size: (height, width),
                },
            );
        });
    }
}

/// All output channels of a small rectangle of the output.
struct Tile<'a> {
    convolution: &'a Convolution<'a>,
    input: Planes<'a>,
    packed: &'a [f32],
    rows: Range<usize>,
    columns: Range<usize>,
    out: SharedOutput,
    out_size: (usize, usize),
}

impl Kernel for Tile<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = tile::columns::<S>();
        let kernel = self.convolution.kernel;
        let area = kernel * kernel;
        let step = self.convolution.movement.step();
        let (tile_height, tile_width) = (self.rows.len(), self.columns.len());
        let panels_across = tile_width.div_ceil(width);
        let panels = tile_height * panels_across;
        let patch_height = (tile_height - 1) * step + kernel;
        let patch_width = (panels_across * width - 1) * step + kernel;
        let slab_channels = (SLAB / area).clamp(1, self.input.channels);
        let mut patch = scratch::take(slab_channels * patch_height * patch_width + MAX_COLUMNS);
        let mut unfolded = scratch::take(panels * slab_channels * area * width);
        let depth = self.convolution.weight.cols();
        let outputs = self.convolution.weight.rows();
        for first_channel in (0..self.input.channels).step_by(slab_channels) {
            let channels = first_channel..(first_channel + slab_channels).min(self.input.channels);
            let slab_depth = channels.len() * area;
            for (index, channel) in channels.clone().enumerate() {
                let plane = &mut patch[index * patch_height * patch_width..][..patch_height * patch_width];
                // SAFETY: this instruction set is the caller's promise.
                unsafe { self.fill_patch::<S>(channel, plane, patch_width) };
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
            let writing =
                ConvolutionWriting { first: first_channel == 0, add: self.convolution.add || first_channel > 0 };
            for first in (0..outputs).step_by(S::TILE_ROWS) {
                let rows = (outputs - first).min(S::TILE_ROWS);
                let mut bias = [0.0_f32; MAX_ROWS];
                bias[..rows].copy_from_slice(&self.convolution.bias[first..first + rows]);
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

impl Tile<'_> {
    /// Writes the part of `channel` that the tile's kernel positions touch, with prelude and padding applied.
    #[inline(always)]
    unsafe fn fill_patch<S: Simd>(&self, channel: usize, patch: &mut [f32], patch_width: usize) {
        let (height, width) = (self.input.height, self.input.width);
        let plane = &self.input.data[channel * height * width..][..height * width];
        let movement = self.convolution.movement;
        let (step, before) = (movement.step(), movement.before(self.convolution.kernel));
        let enlarged = if movement == Movement::Double { 2 } else { 1 };
        let first_x = (self.columns.start * step) as isize - before as isize;
        // Columns of the patch that lie inside the (enlarged) input.
        let inside_start = (-first_x).clamp(0, patch_width as isize) as usize;
        let inside_end =
            ((width * enlarged) as isize - first_x).clamp(inside_start as isize, patch_width as isize) as usize;
        for (index, line) in patch.chunks_exact_mut(patch_width).enumerate() {
            let y = (self.rows.start * step + index) as isize - before as isize;
            if y < 0 || y >= (height * enlarged) as isize {
                line.fill(0.0);
                continue;
            }
            let source = &plane[y as usize / enlarged * width..][..width];
            line[..inside_start].fill(0.0);
            line[inside_end..].fill(0.0);
            let inside = &mut line[inside_start..inside_end];
            let first = (first_x + inside_start as isize) as usize;
            if enlarged == 1 {
                inside.copy_from_slice(&source[first..first + inside.len()]);
            } else {
                for (offset, value) in inside.iter_mut().enumerate() {
                    let x = first + offset;
                    *value = source[x / 2];
                }
            }
            if let Prelude::AffineSilu { scale, shift } = self.convolution.prelude {
                // SAFETY: this instruction set is the caller's promise.
                unsafe { affine_silu::<S>(inside, scale[channel], shift[channel]) };
            }
        }
    }
}

#[inline(always)]
unsafe fn affine_silu<S: Simd>(values: &mut [f32], scale: f32, shift: f32) {
    // SAFETY: whole vectors lie inside the slice; the rest goes through a local one.
    unsafe {
        let (scale, shift) = (S::splat(scale), S::splat(shift));
        let mut chunks = values.chunks_exact_mut(S::LANES);
        for chunk in &mut chunks {
            S::store(chunk.as_mut_ptr(), S::silu(S::fma(S::load(chunk.as_ptr()), scale, shift)));
        }
        let rest = chunks.into_remainder();
        let mut local = [0.0_f32; MAX_COLUMNS];
        local[..rest.len()].copy_from_slice(rest);
        S::store(local.as_mut_ptr(), S::silu(S::fma(S::load(local.as_ptr()), scale, shift)));
        rest.copy_from_slice(&local[..rest.len()]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::tests::noise;
    use crate::plain;
    use crate::simd::Isa;

    #[test]
    fn every_movement_agrees_with_the_plain_convolution() {
        for (channels, outputs, kernel, height, width) in [
            (3, 5, 3, 6, 10),
            (50, 13, 3, 9, 66),
            (7, 25, 1, 5, 131),
            (64, 12, 3, 2, 2),
            (1, 1, 3, 1, 1),
            (49, 3, 5, 4, 70),
            (10, 6, 7, 9, 133),
        ] {
            let data = noise(channels * height * width, 31);
            let input = Planes { data: &data, channels, height, width };
            let weight =
                Matrix::from_f32(&noise(outputs * channels * kernel * kernel, 32), outputs, channels * kernel * kernel);
            let (bias, scale, shift) = (noise(outputs, 33), noise(channels, 34), noise(channels, 35));
            for movement in [Movement::Same, Movement::Halve, Movement::Strided, Movement::Double] {
                if movement == Movement::Halve && (kernel != 3 || height < 2 || width < 2) {
                    continue;
                }
                for (prelude, add) in
                    [(Prelude::None, true), (Prelude::AffineSilu { scale: &scale, shift: &shift }, false)]
                {
                    let convolution = Convolution { weight: &weight, bias: &bias, kernel, movement, prelude, add };
                    let size = outputs * movement.output_side(height) * movement.output_side(width);
                    let before = noise(size, 36);
                    let mut expected = before.clone();
                    plain::convolve(&convolution, input, &mut expected);
                    for isa in Isa::available() {
                        let mut out = before.clone();
                        convolution.run_on(isa, input, &mut out);
                        for (index, (got, expected)) in out.iter().zip(&expected).enumerate() {
                            let allowed = 3e-5 * expected.abs().max(1.0);
                            assert!(
                                (got - expected).abs() < allowed,
                                "{isa:?} {movement:?} {channels}x{height}x{width}, number {index}: {got}, expected {expected}"
                            );
                        }
                    }
                }
            }
        }
    }
}
