//! Products of many rows: both operands are packed into panels that a register tile reads from end to end.

use super::integers::GroupedIntegers;
use super::operands::Operands;
use super::shape::{Finish, Narrow, Product, Term};
use super::tiles::Tiled;
use super::write::Writing;
use crate::panel::{Floats, Halves};
use crate::scratch;
use crate::simd::tiles::{NativeTiles, TileUnit};
use crate::simd::{Kernel, Simd, dispatch_on};
use crate::tile::{self, MAX_COLUMNS, MAX_ROWS, SharedOutput, TileOutput};
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Depth of one slab, at most: with short vectors a panel of `x` (6 × 512 × 4 bytes) fits the first-level cache. With long ones
/// panels are read slowly enough to come from the second level, and every slab but the first reads the output again, which is
/// far larger than the caches (decision 28 has the times).
struct SlabDepth;

impl Kernel for SlabDepth {
    type Output = usize;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> usize {
        if S::LANES > 8 { 3072 } else { 512 }
    }
}

/// Column panels that one task keeps packed: in bf16 4 × 32 × 3072 × 2 bytes are three quarters of a 1 MB second-level cache.
const PANELS: usize = 4;
/// Numbers of four bytes that rows are packed into at once (32 MB); the weight is packed again for the rows that follow.
const PACKED: usize = 8 << 20;

/// A part of the depth of one of the products that are summed.
struct Slab<'a> {
    term: Term<'a>,
    depth: Range<usize>,
    first: bool,
    last: bool,
}

pub(super) fn run(product: &Product) {
    run_with::<NativeTiles>(product, product.isa.has_tiles());
}

/// `tiled`: bf16 is multiplied by `T`.
pub(super) fn run_with<T: TileUnit>(product: &Product, tiled: bool) {
    let deepest = product.terms.iter().map(|term| term.weight.cols()).max().unwrap_or(0);
    let deepest = deepest.clamp(1, dispatch_on(product.isa, SlabDepth));
    let at_once = (PACKED / deepest).next_multiple_of(MAX_ROWS);
    for first in (0..product.rows).step_by(at_once) {
        let rows = at_once.min(product.rows - first);
        let terms: Vec<_> = product.terms.iter().map(|term| term.rows_from(first, rows)).collect();
        let out = SharedOutput(product.out.0.wrapping_add(first * product.out_stride));
        run_rows::<T>(&Product { rows, terms: &terms, out, ..*product }, tiled);
    }
}

/// A product of rows that are packed at once.
fn run_rows<T: TileUnit>(product: &Product, tiled: bool) {
    let way = |term: Term| way(product.narrow, term, tiled);
    for slab in &slabs(product, way) {
        match way(slab.term) {
            Way::Floats => run_slab(product, slab, Floats),
            Way::Halves => run_slab(product, slab, Halves),
            Way::Tiles => run_slab(product, slab, Tiled::<T>::NEW),
            Way::Integers(integers) => run_slab(product, slab, integers),
        }
    }
}

/// How a product is computed.
#[derive(Clone, Copy)]
enum Way {
    Floats,
    Halves,
    Tiles,
    Integers(GroupedIntegers),
}

fn way(Narrow { integers, bf16 }: Narrow, term: Term, tiled: bool) -> Way {
    match term.weight.integers() {
        Some(kind) if integers => Way::Integers(GroupedIntegers::of(kind)),
        None if bf16 && tiled => Way::Tiles,
        None if bf16 => Way::Halves,
        _ => Way::Floats,
    }
}

/// The terms' depths in equal slabs, one after the other; at least one, which writes the bias where there is no depth.
fn slabs<'a>(product: &Product<'a>, way: impl Fn(Term) -> Way) -> Vec<Slab<'a>> {
    let most = dispatch_on(product.isa, SlabDepth);
    let mut slabs = Vec::new();
    for term in product.terms {
        let grain = match way(*term) {
            Way::Floats => Floats::GRAIN,
            Way::Halves => Halves::GRAIN,
            // That of the tiles, whatever multiplies them.
            Way::Tiles => Tiled::<NativeTiles>::GRAIN,
            Way::Integers(_) => GroupedIntegers::GRAIN,
        };
        let depth = term.weight.cols();
        let slab = depth.div_ceil(depth.div_ceil(most).max(1)).next_multiple_of(grain).max(grain);
        for start in (0..depth).step_by(slab) {
            slabs.push(Slab { term: *term, depth: start..(start + slab).min(depth), first: false, last: false });
        }
    }
    if slabs.is_empty() {
        slabs.extend(product.terms.first().map(|term| Slab { term: *term, depth: 0..0, first: false, last: false }));
    }
    if let Some(slab) = slabs.first_mut() {
        slab.first = true;
    }
    if let Some(slab) = slabs.last_mut() {
        slab.last = true;
    }
    slabs
}

/// What a way asks for on an instruction set.
struct PanelSizes {
    tile_rows: usize,
    tile_columns: usize,
    row_panel: usize,
}

/// Asks for [`PanelSizes`] at a depth.
struct AskSizes<O>(usize, PhantomData<O>);

impl<O: Operands> Kernel for AskSizes<O> {
    type Output = PanelSizes;
    const DOTS: bool = O::DOTS;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> PanelSizes {
        PanelSizes {
            tile_rows: O::tile_rows::<S>(),
            tile_columns: tile::columns::<S>(),
            row_panel: O::row_panel::<S>(self.0),
        }
    }
}

fn run_slab<O: Operands>(product: &Product, slab: &Slab, operands: O) {
    let Product { isa, rows, columns, .. } = *product;
    let PanelSizes { tile_rows, tile_columns, row_panel } =
        dispatch_on(isa, AskSizes::<O>(slab.depth.len(), PhantomData));
    let row_panels = rows.div_ceil(tile_rows);
    let column_blocks = columns.div_ceil(PANELS * tile_columns);
    // Few columns and many threads: cut the rows as well, at the price of packing the weight more than once.
    let wanted_tasks = 3 * rayon::current_num_threads();
    let row_blocks = wanted_tasks.div_ceil(column_blocks).min(row_panels.div_ceil(8)).max(1);
    let panels_per_block = row_panels.div_ceil(row_blocks);
    let mut packed = scratch::take(row_panels * row_panel);
    let packed = &mut packed[..row_panels * row_panel];
    if row_panel > 0 {
        packed.par_chunks_mut(row_panel).with_min_len(4).enumerate().for_each(|(panel, out)| {
            let first = panel * tile_rows;
            let rows = first..(first + tile_rows).min(rows);
            dispatch_on(isa, RowPanel { operands, slab, rows, panel: out });
        });
    }
    let packed = &*packed;
    (0..column_blocks * row_blocks).into_par_iter().for_each(|task| {
        let (block, row_block) = (task / row_blocks, task % row_blocks);
        let first = block * PANELS * tile_columns;
        let panel_block = PanelBlock {
            product,
            operands,
            slab,
            packed,
            columns: first..(first + PANELS * tile_columns).min(columns),
            row_panels: row_block * panels_per_block..((row_block + 1) * panels_per_block).min(row_panels),
        };
        dispatch_on(isa, panel_block);
    });
}

/// Rows that become a panel.
struct RowPanel<'a, O> {
    operands: O,
    slab: &'a Slab<'a>,
    rows: Range<usize>,
    panel: &'a mut [f32],
}

impl<O: Operands> Kernel for RowPanel<'_, O> {
    type Output = ();
    const DOTS: bool = O::DOTS;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: this instruction set is the caller's promise, and the panel was made for it.
        unsafe { self.operands.pack_rows::<S>(self.slab.term.x, self.rows, self.slab.depth.clone(), self.panel) };
    }
}

/// All rows in some row panels times a few column panels, for one slab.
struct PanelBlock<'a, O> {
    product: &'a Product<'a>,
    operands: O,
    slab: &'a Slab<'a>,
    packed: &'a [f32],
    columns: Range<usize>,
    row_panels: Range<usize>,
}

impl<O: Operands> Kernel for PanelBlock<'_, O> {
    type Output = ();
    const DOTS: bool = O::DOTS;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = tile::columns::<S>();
        let depth = self.slab.depth.len();
        let (row_panel, column_panel) = (O::row_panel::<S>(depth), O::column_panel::<S>(depth));
        let panels = self.columns.len().div_ceil(width);
        let mut weights = scratch::take(panels * column_panel);
        // Bias and gate of the block's columns, padded so that the last panel reads whole vectors.
        let mut bias = [0.0_f32; PANELS * MAX_COLUMNS];
        let mut gate = [1.0_f32; PANELS * MAX_COLUMNS];
        if let Some(values) = self.product.bias {
            bias[..self.columns.len()].copy_from_slice(&values[self.columns.clone()]);
        }
        if let Finish::AddGated(values) = self.product.finish {
            gate[..self.columns.len()].copy_from_slice(&values[self.columns.clone()]);
        }
        for panel in 0..panels {
            let first = self.columns.start + panel * width;
            let rows = first..(first + width).min(self.columns.end);
            let target = &mut weights[panel * column_panel..][..column_panel];
            // SAFETY: this instruction set is the caller's promise, and the panel has its length.
            unsafe { self.operands.pack_columns::<S>(self.slab.term.weight, rows, self.slab.depth.clone(), target) };
        }
        let writing = Writing {
            add: matches!(self.product.finish, Finish::Add | Finish::AddGated(_)),
            first: self.slab.first,
            gelu: self.slab.last && matches!(self.product.finish, Finish::Gelu),
            bias: bias.as_ptr(),
            gate: gate.as_ptr(),
        };
        let (start, tile_rows) = (self.row_panels.start, O::tile_rows::<S>());
        for step in 0..self.row_panels.len() * panels {
            let (row_index, panel) = (start + step / panels, step % panels);
            let first_row = row_index * tile_rows;
            let first_column = self.columns.start + panel * width;
            // SAFETY: the packed panels have their lengths; the tile's rows and columns lie inside the output (checked in
            // `sum_on`) and belong to this task alone; bias and gate are padded.
            unsafe {
                let a = self.packed.as_ptr().add(row_index * row_panel);
                let b = weights.as_ptr().add(panel * column_panel);
                let out = TileOutput {
                    start: self.product.out.0.add(first_row * self.product.out_stride + first_column),
                    stride: self.product.out_stride,
                    rows: (self.product.rows - first_row).min(tile_rows),
                    columns: (self.columns.end - first_column).min(width),
                };
                let (bias, gate) = (writing.bias.add(panel * width), writing.gate.add(panel * width));
                self.operands.tile::<S>(depth, a, b, Writing { bias, gate, ..writing }, out);
            }
        }
    }
}
