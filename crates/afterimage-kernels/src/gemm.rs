//! Matrix products with weights in their stored type.
//!
//! `out = finish(x · weightᵀ + bias)` in the scheme of Goto and van de Geijn (Anatomy of High-Performance Matrix
//! Multiplication, 2008): the depth is cut into slabs; of each slab `x` is packed once into panels that all threads
//! share, and every task packs a few columns of the weight, which it then keeps in its second-level cache while it runs
//! down all rows. What follows the product in the model (bias, GELU, gated residual) happens while the tile is still in
//! registers.
//!
//! Several such products may be summed before the finish, as if their inputs and weights stood side by side: what a
//! low-rank adapter adds to a layer takes only a few more columns of depth.

use crate::pack::{PackMatrix, PackRows};
use crate::scratch;
use crate::simd::{Isa, Kernel, Simd, dispatch_on};
use crate::tile::{self, MAX_COLUMNS, MAX_ROWS, SharedOutput, Sums, TileOutput, with_rows};
use afterimage_tensors::Matrix;
use rayon::prelude::*;
use std::ops::Range;

/// Depth of one slab. A panel of `x` (12 × 512 × 4 bytes) fits the first-level cache.
const SLAB: usize = 512;
/// Column panels that one task keeps packed: 4 × 32 × 512 × 4 bytes is a quarter of a 1 MB second-level cache.
const PANELS: usize = 4;
/// Up to this many rows the weight is read in place instead of packed: each number is used too rarely to repay packing.
const FEW_ROWS: usize = 3;

/// Rows of f32 inside a wider buffer: row `i` is `data[i * stride..][..cols]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The buffer; the last row may be cut after its last used number.
    pub data: &'a [f32],
    /// Number of rows.
    pub rows: usize,
    /// Numbers from one row to the next.
    pub stride: usize,
}

/// Like [`Rows`], for writing.
#[derive(Debug)]
pub struct RowsMut<'a> {
    /// The buffer.
    pub data: &'a mut [f32],
    /// Numbers from one row to the next.
    pub stride: usize,
}

/// One product of a sum of them: `x · weightᵀ`.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a> {
    /// `[rows, weight.cols()]`
    pub x: Rows<'a>,
    /// `[columns, depth]`
    pub weight: &'a Matrix,
}

/// What happens to `y = x · weightᵀ + bias`.
#[derive(Clone, Copy, Debug)]
pub enum Finish<'a> {
    /// `out = y`
    Store,
    /// `out = gelu_tanh(y)`
    Gelu,
    /// `out += y`
    Add,
    /// `out += gate * y`, one gate a column: the residual connection of a modulated transformer block.
    AddGated(&'a [f32]),
}

/// `x · weightᵀ + bias`, a new vector `[rows, weight.rows()]`; `x` is `[rows, weight.cols()]` without gaps.
///
/// # Panics
/// When `x` is not a whole number of rows, or `bias` is not `weight.rows()` long.
pub fn linear(x: &[f32], weight: &Matrix, bias: Option<&[f32]>) -> Vec<f32> {
    let cols = weight.cols().max(1);
    assert_eq!(x.len() % cols, 0, "rows of {cols}");
    let rows = x.len() / cols;
    let mut out = vec![0.0; rows * weight.rows()];
    let stride = weight.rows();
    linear_into(Rows { data: x, rows, stride: cols }, weight, bias, Finish::Store, RowsMut { data: &mut out, stride });
    out
}

/// Computes `x · weightᵀ + bias` and finishes it into `out`.
///
/// # Panics
/// When a buffer is too short, or bias or gate are not `weight.rows()` long.
pub fn linear_into(x: Rows, weight: &Matrix, bias: Option<&[f32]>, finish: Finish, out: RowsMut) {
    linear_on(Isa::detect(), x, weight, bias, finish, out);
}

/// [`linear_into`] with a chosen instruction set.
///
/// # Panics
/// As [`linear_into`].
pub fn linear_on(isa: Isa, x: Rows, weight: &Matrix, bias: Option<&[f32]>, finish: Finish, out: RowsMut) {
    sum_on(isa, &[Term { x, weight }], bias, finish, out);
}

/// Computes the sum of `terms` and `bias`, and finishes it into `out`.
///
/// # Panics
/// When there are no terms, their rows or outputs differ, a buffer is too short, or bias or gate are not as long as there are
/// outputs.
#[expect(clippy::needless_pass_by_value, reason = "an exclusive view is used up by writing to it")]
pub fn sum_on(isa: Isa, terms: &[Term], bias: Option<&[f32]>, finish: Finish, out: RowsMut) {
    let (rows, columns) = (terms[0].x.rows, terms[0].weight.rows());
    assert!(terms.iter().all(|term| (term.x.rows, term.weight.rows()) == (rows, columns)), "terms of different shapes");
    if rows == 0 || columns == 0 {
        return;
    }
    for Term { x, weight } in terms {
        let depth = weight.cols();
        assert!(x.stride >= depth && x.data.len() >= (rows - 1) * x.stride + depth, "input shorter than {rows} rows");
    }
    assert!(
        out.stride >= columns && out.data.len() >= (rows - 1) * out.stride + columns,
        "output shorter than {rows} rows of {columns}"
    );
    assert!(bias.is_none_or(|bias| bias.len() == columns), "bias of {columns}");
    if let Finish::AddGated(gate) = finish {
        assert_eq!(gate.len(), columns, "gate");
    }
    let target = SharedOutput(out.data.as_mut_ptr());
    let product = Product { isa, terms, rows, columns, bias, finish, out: target, out_stride: out.stride };
    if rows <= FEW_ROWS {
        product.run_in_place();
    } else {
        product.run_packed();
    }
}

#[derive(Clone, Copy)]
struct Product<'a> {
    isa: Isa,
    terms: &'a [Term<'a>],
    rows: usize,
    columns: usize,
    bias: Option<&'a [f32]>,
    finish: Finish<'a>,
    out: SharedOutput,
    out_stride: usize,
}

/// Rows and columns of the register tile.
pub(crate) fn tile_of(isa: Isa) -> (usize, usize) {
    struct Shape;
    impl Kernel for Shape {
        type Output = (usize, usize);
        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> (usize, usize) {
            (S::TILE_ROWS, tile::columns::<S>())
        }
    }
    dispatch_on(isa, Shape)
}

impl Product<'_> {
    fn run_packed(&self) {
        let (tile_rows, tile_columns) = tile_of(self.isa);
        let Self { rows, columns, .. } = *self;
        let row_panels = rows.div_ceil(tile_rows);
        let column_blocks = columns.div_ceil(PANELS * tile_columns);
        // Few columns and many threads: cut the rows as well, at the price of packing the weight more than once.
        let wanted_tasks = 3 * rayon::current_num_threads();
        let row_blocks = wanted_tasks.div_ceil(column_blocks).min(row_panels.div_ceil(8)).max(1);
        let panels_per_block = row_panels.div_ceil(row_blocks);
        let slabs = self.slabs();
        let deepest = slabs.iter().map(|(_, cols)| cols.len()).max().unwrap_or(0);
        let mut packed = scratch::take(row_panels * tile_rows * deepest);
        for (index, (term, cols)) in slabs.iter().enumerate() {
            let panel_len = tile_rows * cols.len();
            if panel_len > 0 {
                packed[..row_panels * panel_len].par_chunks_mut(panel_len).with_min_len(4).enumerate().for_each(
                    |(panel, out)| {
                        let first = panel * tile_rows;
                        dispatch_on(
                            self.isa,
                            PackRows {
                                x: term.x.data,
                                stride: term.x.stride,
                                rows: first..(first + tile_rows).min(rows),
                                cols: cols.clone(),
                                width: tile_rows,
                                panel: out,
                            },
                        );
                    },
                );
            }
            let shared = &packed[..row_panels * panel_len];
            (0..column_blocks * row_blocks).into_par_iter().for_each(|task| {
                let (block, row_block) = (task / row_blocks, task % row_blocks);
                let first = block * PANELS * tile_columns;
                dispatch_on(
                    self.isa,
                    PanelBlock {
                        product: *self,
                        weight: term.weight,
                        packed: shared,
                        depth: cols.clone(),
                        columns: first..(first + PANELS * tile_columns).min(columns),
                        row_panels: row_block * panels_per_block..((row_block + 1) * panels_per_block).min(row_panels),
                        first: index == 0,
                        last: index + 1 == slabs.len(),
                    },
                );
            });
        }
    }

    /// The terms' depths in equal slabs, one after the other; at least one, which writes the bias where there is no depth.
    fn slabs(&self) -> Vec<(Term<'_>, Range<usize>)> {
        let mut slabs = Vec::new();
        for term in self.terms {
            let depth = term.weight.cols();
            let count = depth.div_ceil(SLAB);
            let slab_depth = depth.div_ceil(count.max(1));
            slabs.extend((0..count).map(|slab| (*term, slab * slab_depth..((slab + 1) * slab_depth).min(depth))));
        }
        if slabs.is_empty() {
            slabs.extend(self.terms.first().map(|term| (*term, 0..0)));
        }
        slabs
    }

    fn run_in_place(&self) {
        const COLUMNS: usize = 16;
        let blocks = self.columns.div_ceil(COLUMNS);
        (0..blocks).into_par_iter().with_min_len(8).for_each(|block| {
            let columns = block * COLUMNS..((block + 1) * COLUMNS).min(self.columns);
            dispatch_on(self.isa, Dots { product: *self, columns });
        });
    }
}

/// All rows in some row panels times a few column panels, for one slab.
struct PanelBlock<'a> {
    product: Product<'a>,
    weight: &'a Matrix,
    packed: &'a [f32],
    depth: Range<usize>,
    columns: Range<usize>,
    row_panels: Range<usize>,
    first: bool,
    last: bool,
}

/// How a tile's sums reach the output.
#[derive(Clone, Copy)]
struct ProductWriting {
    add: bool,
    first: bool,
    gelu: bool,
}

impl Kernel for PanelBlock<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = tile::columns::<S>();
        let depth = self.depth.len();
        let product = &self.product;
        let panels = self.columns.len().div_ceil(width);
        let mut weights = scratch::take(panels * width * depth);
        // Bias and gate of the block's columns, padded so that the last panel reads whole vectors.
        let mut bias = [0.0_f32; PANELS * MAX_COLUMNS];
        let mut gate = [1.0_f32; PANELS * MAX_COLUMNS];
        if let Some(values) = product.bias {
            bias[..self.columns.len()].copy_from_slice(&values[self.columns.clone()]);
        }
        if let Finish::AddGated(values) = product.finish {
            gate[..self.columns.len()].copy_from_slice(&values[self.columns.clone()]);
        }
        for panel in 0..panels {
            let first = self.columns.start + panel * width;
            let rows = first..(first + width).min(self.columns.end);
            let target = &mut weights[panel * width * depth..];
            let pack = PackMatrix { matrix: self.weight, rows, cols: self.depth.clone(), width, panel: target };
            // SAFETY: this instruction set is the caller's promise.
            unsafe { pack.run::<S>() };
        }
        let writing = ProductWriting {
            add: matches!(product.finish, Finish::Add | Finish::AddGated(_)),
            first: self.first,
            gelu: self.last && matches!(product.finish, Finish::Gelu),
        };
        for row_panel in self.row_panels.clone() {
            let first_row = row_panel * S::TILE_ROWS;
            let rows = (product.rows - first_row).min(S::TILE_ROWS);
            for panel in 0..panels {
                let first_column = self.columns.start + panel * width;
                let columns = (self.columns.end - first_column).min(width);
                // SAFETY: the packed panels hold `depth` groups; the tile's rows and columns lie inside the output
                // (checked in `sum_on`) and belong to this task alone.
                unsafe {
                    let a = self.packed.as_ptr().add(row_panel * S::TILE_ROWS * depth);
                    let b = weights.as_ptr().add(panel * width * depth);
                    let start = product.out.0.add(first_row * product.out_stride + first_column);
                    let out = TileOutput { start, stride: product.out_stride, rows, columns };
                    let (bias, gate) = (bias.as_ptr().add(panel * width), gate.as_ptr().add(panel * width));
                    with_rows!(rows, one_tile::<S>(depth, a, b, writing, bias, gate, out));
                }
            }
        }
    }
}

/// # Safety
/// `a` and `b` are panels of `depth` groups, `bias` and `gate` two vectors, `out` can be written and is of this task alone.
#[inline(always)]
unsafe fn one_tile<S: Simd, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    writing: ProductWriting,
    bias: *const f32,
    gate: *const f32,
    out: TileOutput,
) {
    let width = tile::columns::<S>();
    let TileOutput { start, stride, rows, columns } = out;
    // SAFETY: the caller's promise. A tile that reaches over the output's edge is finished in a local buffer of whole
    // vectors and only its inside is copied.
    unsafe {
        // The output is far larger than the caches: ask for its lines now, they arrive while the tile is summed.
        for row in 0..rows {
            S::prefetch(start.add(row * stride));
            S::prefetch(start.add(row * stride).wrapping_add(columns - 1));
        }
        let sums = tile::multiply::<S, ROWS>(depth, a, S::TILE_ROWS, |k| b.add(k * width));
        if columns == width && rows == ROWS {
            write_tile::<S, ROWS>(&sums, writing, bias, gate, start, stride);
        } else {
            let mut local = [0.0_f32; MAX_ROWS * MAX_COLUMNS];
            for row in 0..rows {
                std::ptr::copy_nonoverlapping(start.add(row * stride), local.as_mut_ptr().add(row * width), columns);
            }
            write_tile::<S, ROWS>(&sums, writing, bias, gate, local.as_mut_ptr(), width);
            for row in 0..rows {
                std::ptr::copy_nonoverlapping(local.as_ptr().add(row * width), start.add(row * stride), columns);
            }
        }
    }
}

/// # Safety
/// `out` holds `ROWS` rows of two vectors.
#[inline(always)]
unsafe fn write_tile<S: Simd, const ROWS: usize>(
    sums: &Sums<S, ROWS>,
    writing: ProductWriting,
    bias: *const f32,
    gate: *const f32,
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
                    value = S::add(value, S::load(bias.add(offset)));
                }
                if writing.add {
                    value = S::fma(value, S::load(gate.add(offset)), S::load(target));
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

/// A few rows times some columns, by dot products along the weight's rows.
struct Dots<'a> {
    product: Product<'a>,
    columns: Range<usize>,
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let product = &self.product;
        let mut weights = scratch::take(product.terms.iter().map(|term| term.weight.cols()).sum());
        for column in self.columns.clone() {
            let mut rest = &mut weights[..];
            for term in product.terms {
                let depth = term.weight.cols();
                let (weights, behind) = rest.split_at_mut(depth);
                term.weight.read_row(column, 0..depth, weights);
                rest = behind;
            }
            for row in 0..product.rows {
                let (mut y, mut rest) = (0.0, &weights[..]);
                for Term { x, weight } in product.terms {
                    let (weights, behind) = rest.split_at(weight.cols());
                    // SAFETY: this instruction set is the caller's promise.
                    y += unsafe { dot::<S>(&x.data[row * x.stride..][..weight.cols()], weights) };
                    rest = behind;
                }
                y += product.bias.map_or(0.0, |bias| bias[column]);
                // SAFETY: the output element lies inside the output and belongs to this task alone.
                unsafe {
                    let target = product.out.0.add(row * product.out_stride + column);
                    match product.finish {
                        Finish::Store => *target = y,
                        Finish::Gelu => *target = gelu_tanh_one::<S>(y),
                        Finish::Add => *target += y,
                        Finish::AddGated(gate) => *target += gate[column] * y,
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn gelu_tanh_one<S: Simd>(x: f32) -> f32 {
    let mut lanes = [0.0_f32; MAX_COLUMNS];
    // SAFETY: the array holds a vector of any instruction set.
    unsafe { S::store(lanes.as_mut_ptr(), S::gelu_tanh(S::splat(x))) };
    lanes[0]
}

/// Dot product of two slices of one length, in four independent sums.
#[inline(always)]
unsafe fn dot<S: Simd>(x: &[f32], y: &[f32]) -> f32 {
    let (x, y) = (&x[..x.len().min(y.len())], y);
    let step = 4 * S::LANES;
    let whole = x.len() - x.len() % step;
    // SAFETY: every load stays below `whole`.
    let mut total = unsafe {
        let mut sums = [S::splat(0.0); 4];
        for start in (0..whole).step_by(step) {
            for (index, sum) in sums.iter_mut().enumerate() {
                let at = start + index * S::LANES;
                *sum = S::fma(S::load(x.as_ptr().add(at)), S::load(y.as_ptr().add(at)), *sum);
            }
        }
        S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])))
    };
    for (x, y) in x[whole..].iter().zip(&y[whole..]) {
        total += x * y;
    }
    total
}

/// Billions of multiply-adds ×2 per second that a `size`³ f32 product of this crate reaches now: the ceiling that
/// benchmarks compare with.
pub fn measure_ceiling(size: usize) -> f64 {
    let x = vec![0.5_f32; size * size];
    let weight = Matrix::from_f32(&vec![0.25; size * size], size, size);
    let mut out = vec![0.0_f32; size * size];
    let mut best = f64::INFINITY;
    for _ in 0..4 {
        let start = std::time::Instant::now();
        linear_into(
            Rows { data: &x, rows: size, stride: size },
            &weight,
            None,
            Finish::Store,
            RowsMut { data: &mut out, stride: size },
        );
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (size as f64).powi(3) / best / 1e9
}

#[cfg(test)]
pub(crate) mod tests;
