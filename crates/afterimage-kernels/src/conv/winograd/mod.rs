//! Convolutions of 3×3 with a quarter of the multiplications (Winograd, 1980; Lavin and Gray, Fast Algorithms for
//! Convolutional Neural Networks, 2016): F(4×4, 3×3).
//!
//! The output is cut into tiles of 4×4. The 6×6 input pixels that a tile needs and the 3×3 numbers of a filter are
//! transformed to 36 numbers each; products of these, summed over the input channels, are transformed to the 4×4 output
//! pixels. For each of the 36 places that is one matrix product of filters and tiles. Sums differ from those of the
//! definition by rounding only: at 512 channels the error is 2.2e-6 of the result (root mean square), where the
//! definition in f32 makes 0.4e-6 (a test says so).
//!
//! A task makes all output channels of a region of at most 64 tiles. Its input is brought along phases: the pixels whose
//! column is `p` modulo 4 stand side by side, so that a vector holds the same pixel of neighbouring tiles.

mod transform;

use super::patch::PaddedInput;
use super::shape::{Convolution, Planes};
use crate::pack::PackMatrix;
use crate::scratch;
use crate::simd::{Isa, Kernel, Simd, dispatch_on};
use crate::tile::{self, MAX_COLUMNS, SharedOutput, with_rows};
use rayon::prelude::*;
use std::ops::Range;
use transform::{OUTPUTS, WINDOW, both_dimensions};

/// Numbers of a transformed tile.
const PLACES: usize = WINDOW * WINDOW;
/// Tiles of the largest region.
const REGION_TILES: usize = 64;
/// Tiles side by side in the widest region.
const REGION_ACROSS: usize = 16;
/// Numbers between the buffers of two places beyond what they hold: an odd number of cache lines, since buffers a
/// power of two apart share their cache sets.
const GAP: usize = 16;
/// Widest vector, which may be written beyond a group of fewer rows.
const OVERHANG: usize = 16;
/// From this many output pixels on the transformation of the filters repays itself.
const FEWEST_PIXELS: usize = 256;
/// From this many channels on the products outweigh the transformations.
const FEWEST_CHANNELS: usize = 16;

/// Whether this way is the faster one.
pub(super) fn pays(convolution: &Convolution, input: &Planes) -> bool {
    let movement = convolution.movement;
    let pixels = movement.output_side(input.height) * movement.output_side(input.width);
    fits(convolution) && pixels >= FEWEST_PIXELS && input.channels.min(convolution.weight.rows()) >= FEWEST_CHANNELS
}

/// Whether the convolution can be done this way.
pub(super) fn fits(convolution: &Convolution) -> bool {
    convolution.kernel == 3 && convolution.movement.step() == 1
}

/// The transformed filters, and each thread's transformed inputs and products.
pub(super) fn scratch_bytes(channels: usize) -> u64 {
    let numbers = channels * channels + rayon::current_num_threads() * 2 * channels * REGION_TILES;
    (size_of::<f32>() * PLACES * numbers) as u64
}

/// A distance of at least `len` that is an odd number of cache lines.
fn odd_lines(len: usize) -> usize {
    (len.div_ceil(GAP) | 1) * GAP
}

/// The transformed filters: for each place panels of `TILE_ROWS` output channels, as the register tile reads them.
#[derive(Clone, Copy)]
struct Filters<'a> {
    numbers: &'a [f32],
    panel: usize,
    place: usize,
}

/// `convolution` of `input`; the caller has checked all lengths.
pub(super) fn convolve(isa: Isa, convolution: &Convolution, input: Planes, out: &mut [f32]) {
    let (tile_rows, tile_columns) = crate::gemm::tile_of(isa);
    let outputs = convolution.weight.rows();
    let panels = outputs.div_ceil(tile_rows);
    let panel = input.channels * tile_rows + OVERHANG;
    let place = odd_lines(panels * panel);
    let mut numbers = scratch::take(PLACES * place);
    let target = SharedOutput(numbers.as_mut_ptr());
    (0..panels).into_par_iter().for_each(|index| {
        let rows = index * tile_rows..((index + 1) * tile_rows).min(outputs);
        dispatch_on(isa, TransformFilters { convolution, rows, target, panel, place });
    });
    let filters = Filters { numbers: &numbers, panel, place };

    let (height, width) =
        (convolution.movement.output_side(input.height), convolution.movement.output_side(input.width));
    let lanes = tile_columns / 2;
    let across = width.div_ceil(OUTPUTS).next_multiple_of(lanes).min(REGION_ACROSS.max(lanes));
    // Regions for every thread, as long as a region fills the register tile.
    let mut tiles = REGION_TILES;
    let regions = |tiles: usize| (width.div_ceil(across * OUTPUTS), height.div_ceil(tiles / across * OUTPUTS));
    while tiles / 2 >= tile_columns.max(across)
        && regions(tiles).0 * regions(tiles).1 < 3 * rayon::current_num_threads()
    {
        tiles /= 2;
    }
    let (columns, rows) = regions(tiles);
    let (region_width, region_height) = (across * OUTPUTS, tiles / across * OUTPUTS);
    let shared = SharedOutput(out.as_mut_ptr());
    (0..rows * columns).into_par_iter().for_each(|task| {
        let (y, x) = (task / columns * region_height, task % columns * region_width);
        let region = Region {
            input: PaddedInput { convolution, planes: input },
            filters,
            across,
            rows: y..(y + region_height).min(height),
            columns: x..(x + region_width).min(width),
            out: shared,
            out_size: (height, width),
        };
        dispatch_on(isa, region);
    });
}

/// A panel of filters, transformed.
struct TransformFilters<'a> {
    convolution: &'a Convolution<'a>,
    rows: Range<usize>,
    target: SharedOutput,
    panel: usize,
    place: usize,
}

impl Kernel for TransformFilters<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { convolution, rows, target, panel, place } = self;
        let depth = convolution.weight.cols();
        let index = rows.start / S::TILE_ROWS;
        let mut packed = scratch::take(depth * S::TILE_ROWS + OVERHANG);
        let group = &mut packed[..depth * S::TILE_ROWS];
        let pack = PackMatrix { matrix: convolution.weight, rows, cols: 0..depth, width: S::TILE_ROWS, panel: group };
        // SAFETY: this instruction set is the caller's promise. A vector reaches at most `OVERHANG` numbers beyond its
        // group of `TILE_ROWS`; those written there are overwritten by the next group, and each panel ends with room.
        unsafe {
            pack.run::<S>();
            for channel in 0..depth / 9 {
                for first in (0..S::TILE_ROWS).step_by(S::LANES) {
                    let taps = packed.as_ptr().add(channel * 9 * S::TILE_ROWS + first);
                    let transformed = both_dimensions!(transform::filter::<S>, 3, WINDOW, |row, column| {
                        S::load(taps.add((3 * row + column) * S::TILE_ROWS))
                    });
                    let to = target.0.add(index * panel + channel * S::TILE_ROWS + first);
                    for (at, value) in transformed.iter().flatten().enumerate() {
                        S::store(to.add(at * place), *value);
                    }
                }
            }
        }
    }
}

/// All output channels of a region of tiles.
struct Region<'a> {
    input: PaddedInput<'a>,
    filters: Filters<'a>,
    /// Tiles side by side, whole vectors.
    across: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    out: SharedOutput,
    out_size: (usize, usize),
}

impl Kernel for Region<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = tile::columns::<S>();
        let channels = self.input.planes.channels;
        let outputs = self.input.convolution.weight.rows();
        let tiles = (self.rows.len().div_ceil(OUTPUTS) * self.across).next_multiple_of(width);
        let panels = outputs.div_ceil(S::TILE_ROWS);
        let input_place = odd_lines(channels * tiles);
        let product_place = odd_lines(panels * S::TILE_ROWS * tiles);
        let mut inputs = scratch::take(PLACES * input_place);
        let mut products = scratch::take(PLACES * product_place);
        // SAFETY: this instruction set is the caller's promise; the buffers hold `PLACES` times what is indexed here, and
        // the filters were made for the same channels and outputs.
        unsafe {
            self.transform_inputs::<S>(&mut inputs, input_place);
            for place in 0..PLACES {
                for panel in 0..panels {
                    let a = self.filters.numbers.as_ptr().add(place * self.filters.place + panel * self.filters.panel);
                    let out = products.as_mut_ptr().add(place * product_place + panel * S::TILE_ROWS * tiles);
                    for first in (0..tiles).step_by(width) {
                        let b = inputs.as_ptr().add(place * input_place + first * channels);
                        with_rows!(S::TILE_ROWS, one_product::<S>(channels, a, b, out.add(first), tiles));
                    }
                }
            }
            self.transform_products::<S>(&products, product_place, tiles);
        }
    }
}

/// # Safety
/// `a` and `b` are panels of `depth` groups; `out` holds `ROWS` rows of two vectors, `stride` apart.
#[inline(always)]
unsafe fn one_product<S: Simd, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    out: *mut f32,
    stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let width = tile::columns::<S>();
        let sums = tile::multiply::<S, ROWS>(depth, a, ROWS, |k| b.add(k * width));
        for (row, [left, right]) in sums.iter().enumerate() {
            S::store(out.add(row * stride), *left);
            S::store(out.add(row * stride + S::LANES), *right);
        }
    }
}

impl Region<'_> {
    /// Writes for each place the panels `[tiles / width][channels][width]` of the transformed input.
    ///
    /// # Safety
    /// The machine has `S`'s instruction set; `inputs` holds `PLACES` times `place` numbers.
    #[inline(always)]
    unsafe fn transform_inputs<S: Simd>(&self, inputs: &mut [f32], place: usize) {
        let width = tile::columns::<S>();
        let channels = self.input.planes.channels;
        let down = self.rows.len().div_ceil(OUTPUTS);
        let lines = down * OUTPUTS + 2;
        // A window reaches two pixels into its neighbour, so each phase holds one more than there are tiles.
        let phase = self.across + 1;
        let mut line = [0.0_f32; OUTPUTS * (REGION_ACROSS + 1)];
        let line = &mut line[..OUTPUTS * phase];
        let mut phases = scratch::take(lines * OUTPUTS * phase);
        for channel in 0..channels {
            for (index, phases) in phases.chunks_exact_mut(OUTPUTS * phase).take(lines).enumerate() {
                let (y, x) = ((self.rows.start + index) as isize - 1, self.columns.start as isize - 1);
                // SAFETY: this instruction set is the caller's promise.
                unsafe { self.input.fill_line::<S>(channel, y, x, line) };
                for first in (0..self.across).step_by(S::LANES) {
                    // SAFETY: `across` is whole vectors, and the line and its phases hold one tile more.
                    unsafe {
                        let numbers = S::deinterleave(line.as_ptr().add(first * OUTPUTS));
                        for (index, numbers) in numbers.iter().enumerate() {
                            S::store(phases.as_mut_ptr().add(index * phase + first), *numbers);
                        }
                    }
                }
                for (index, pixel) in line[self.across * OUTPUTS..].iter().enumerate() {
                    phases[index * phase + self.across] = *pixel;
                }
            }
            for row in 0..down {
                for first in (0..self.across).step_by(S::LANES) {
                    let tile = row * self.across + first;
                    let at = tile / width * width * channels + channel * width + tile % width;
                    // SAFETY: `first` and a vector end inside a phase's tiles, one more pixel with the next; `at` lies in
                    // the panel of the tile, which holds all channels.
                    unsafe {
                        let from = phases.as_ptr().add(row * OUTPUTS * OUTPUTS * phase + first);
                        let transformed = both_dimensions!(transform::input::<S>, WINDOW, WINDOW, |y, x| {
                            S::load(from.add((y * OUTPUTS + x % OUTPUTS) * phase + x / OUTPUTS))
                        });
                        let to = inputs.as_mut_ptr().add(at);
                        for (at, value) in transformed.iter().flatten().enumerate() {
                            S::store(to.add(at * place), *value);
                        }
                    }
                }
            }
        }
    }

    /// Transforms the products and writes them with their bias.
    ///
    /// # Safety
    /// The machine has `S`'s instruction set; `products` holds `PLACES` times `place` numbers; the region lies inside the
    /// output and belongs to this task.
    #[inline(always)]
    unsafe fn transform_products<S: Simd>(&self, products: &[f32], place: usize, tiles: usize) {
        let convolution = self.input.convolution;
        let (height, out_width) = self.out_size;
        for (output, bias) in convolution.bias.iter().enumerate() {
            for row in 0..self.rows.len().div_ceil(OUTPUTS) {
                for first in (0..self.across).step_by(S::LANES) {
                    let x = self.columns.start + first * OUTPUTS;
                    let count = self.columns.end.saturating_sub(x).min(S::LANES * OUTPUTS);
                    if count == 0 {
                        break;
                    }
                    // SAFETY: the products of this output and these tiles lie inside the buffer; of the pixels only those
                    // inside the region are written.
                    unsafe {
                        let from = products.as_ptr().add(output * tiles + row * self.across + first);
                        let transformed = both_dimensions!(transform::output::<S>, WINDOW, OUTPUTS, |y, x| {
                            S::load(from.add((y * WINDOW + x) * place))
                        });
                        let bias = S::splat(*bias);
                        for (index, line) in transformed.iter().enumerate() {
                            let y = self.rows.start + row * OUTPUTS + index;
                            if y >= self.rows.end {
                                break;
                            }
                            let target = self.out.0.add((output * height + y) * out_width + x);
                            let [a, b, c, d] = *line;
                            let line =
                                S::interleave([S::add(a, bias), S::add(b, bias), S::add(c, bias), S::add(d, bias)]);
                            if count == S::LANES * OUTPUTS {
                                for (index, pixels) in line.into_iter().enumerate() {
                                    let to = target.add(index * S::LANES);
                                    let pixels = if convolution.add { S::add(S::load(to), pixels) } else { pixels };
                                    S::store(to, pixels);
                                }
                                continue;
                            }
                            let mut pixels = [0.0_f32; OUTPUTS * MAX_COLUMNS / 2];
                            for (index, vector) in line.into_iter().enumerate() {
                                S::store(pixels.as_mut_ptr().add(index * S::LANES), vector);
                            }
                            for (at, pixel) in pixels[..count].iter().enumerate() {
                                let target = target.add(at);
                                *target = if convolution.add { *target + pixel } else { *pixel };
                            }
                        }
                    }
                }
            }
        }
    }
}
