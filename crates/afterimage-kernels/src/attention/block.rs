//! Some queries against all keys: scores, running softmax, weighted values.

use super::packer::KEY_BLOCK;
use super::shape::{AttentionBias, AttentionShape, Tokens};
use crate::panel::PanelNumbers;
use crate::scratch;
use crate::simd::{Kernel, Simd};
use crate::tile::{self, MAX_COLUMNS, SharedOutput, with_rows};
use std::marker::PhantomData;
use std::ops::Range;

/// Queries of one task: four tiles share each block of keys and values while it is in the cache.
pub(super) const QUERY_BLOCK_TILES: usize = 4;
/// Smaller than any score, and still finite so that differences of maxima are.
const LOWEST: f32 = -1e30;

/// Where the heads' sums go; tasks write disjoint heads and queries.
#[derive(Clone, Copy)]
pub(super) struct HeadOutput {
    pub data: SharedOutput,
    pub stride: usize,
}

/// Some query tiles of one head against all keys.
pub(super) struct QueryBlock<'a, N> {
    pub shape: &'a AttentionShape,
    pub q: Tokens<'a>,
    pub bias: &'a AttentionBias<'a>,
    pub keys: &'a [f32],
    pub values: &'a [f32],
    pub head: usize,
    pub tiles: Range<usize>,
    pub out: HeadOutput,
    pub numbers: PhantomData<N>,
}

/// The running softmax of one query tile.
#[derive(Clone, Copy)]
struct Running {
    largest: [f32; MAX_COLUMNS],
    total: [f32; MAX_COLUMNS],
}

impl<N: PanelNumbers> Kernel for QueryBlock<'_, N> {
    type Output = ();
    const DOTS: bool = N::DOTS;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = tile::columns::<S>();
        let dim = self.shape.head_dim;
        let padded = dim.next_multiple_of(S::TILE_ROWS);
        let count = self.tiles.len();
        let query_panel = N::units(dim) * width;
        let mut queries = scratch::take(count * query_panel);
        let mut scaled = scratch::take(width * dim);
        let mut sums = scratch::take(count * padded * width);
        sums[..count * padded * width].fill(0.0);
        let mut scores = scratch::take(KEY_BLOCK * width);
        let mut running = [Running { largest: [LOWEST; MAX_COLUMNS], total: [0.0; MAX_COLUMNS] }; QUERY_BLOCK_TILES];
        for (index, tile) in self.tiles.clone().enumerate() {
            let rows = tile * width..((tile + 1) * width).min(self.shape.queries);
            let count = rows.len();
            for (row, scaled) in rows.zip(scaled.chunks_exact_mut(dim)) {
                for (scaled, number) in scaled.iter_mut().zip(self.q.row(row, self.head, dim)) {
                    *scaled = number * self.shape.scale;
                }
            }
            let packed = &mut queries[index * query_panel..][..query_panel];
            // SAFETY: this instruction set is the caller's promise.
            unsafe { N::pack_rows::<S>(&scaled, dim, 0..count, 0..dim, width, packed) };
        }
        for block in 0..self.shape.keys.div_ceil(KEY_BLOCK) {
            let first = block * KEY_BLOCK;
            let block_keys = (self.shape.keys - first).min(KEY_BLOCK);
            for (index, tile) in self.tiles.clone().enumerate() {
                let queries = &queries[index * query_panel..][..query_panel];
                // SAFETY: all buffers have the sizes computed above.
                unsafe {
                    self.score::<S>(tile * width, first, block_keys, queries, &mut scores);
                    let shrink = soften::<S, N>(&mut scores, block_keys, &mut running[index]);
                    let values = &self.values[N::units(first) * padded..][..N::units(block_keys) * padded];
                    let sums = &mut sums[index * padded * width..][..padded * width];
                    weigh::<S, N>(&scores, block_keys, values, &shrink, sums);
                }
            }
        }
        for (index, tile) in self.tiles.clone().enumerate() {
            let sums = &sums[index * padded * width..][..padded * width];
            let lanes = width.min(self.shape.queries - tile * width);
            for lane in 0..lanes {
                let factor = 1.0 / running[index].total[lane];
                let row = (tile * width + lane) * self.out.stride + self.head * dim;
                for d in 0..dim {
                    // SAFETY: inside the output, checked by `attention_on`; this task owns these queries and this head.
                    unsafe { *self.out.data.0.add(row + d) = sums[d * width + lane] * factor };
                }
            }
        }
    }
}

impl<N: PanelNumbers> QueryBlock<'_, N> {
    /// Scores of `block_keys` keys from `first` on for the query tile that starts at `query`: `[keys, lanes]`.
    #[inline(always)]
    unsafe fn score<S: Simd>(
        &self,
        query: usize,
        first: usize,
        block_keys: usize,
        queries: &[f32],
        scores: &mut [f32],
    ) {
        let (dim, width) = (self.shape.head_dim, tile::columns::<S>());
        // SAFETY: `keys` holds whole panels, `scores` a block, `queries` a panel.
        unsafe {
            for panel in 0..block_keys.div_ceil(S::TILE_ROWS) {
                let rows = (block_keys - panel * S::TILE_ROWS).min(S::TILE_ROWS);
                let a = self.keys.as_ptr().add((first + panel * S::TILE_ROWS) * N::units(dim));
                let out = scores.as_mut_ptr().add(panel * S::TILE_ROWS * width);
                with_rows!(rows, score_tile::<S, N>(dim, a, queries.as_ptr(), out, rows));
            }
            match self.bias {
                AttentionBias::None => {}
                AttentionBias::Keys { offset, gated, gate } => {
                    let gates = padded_lanes(gate, query, width);
                    for key in 0..block_keys {
                        let (offset, gated) = (S::splat(offset[first + key]), S::splat(gated[first + key]));
                        for half in [0, S::LANES] {
                            let target = scores.as_mut_ptr().add(key * width + half);
                            let bias = S::fma(S::load(gates.as_ptr().add(half)), gated, offset);
                            S::store(target, S::add(S::load(target), bias));
                        }
                    }
                }
                AttentionBias::Pairs { values, per_head } => {
                    let table = if *per_head { self.head } else { 0 };
                    for key in 0..block_keys {
                        let start = (table * self.shape.keys + first + key) * self.shape.queries;
                        let biases = padded_lanes(&values[start..start + self.shape.queries], query, width);
                        for half in [0, S::LANES] {
                            let target = scores.as_mut_ptr().add(key * width + half);
                            S::store(target, S::add(S::load(target), S::load(biases.as_ptr().add(half))));
                        }
                    }
                }
            }
        }
    }
}

/// `width` numbers of `values` from `first` on, zeros beyond its end.
#[inline(always)]
fn padded_lanes(values: &[f32], first: usize, width: usize) -> [f32; MAX_COLUMNS] {
    let mut lanes = [0.0; MAX_COLUMNS];
    let count = width.min(values.len() - first);
    lanes[..count].copy_from_slice(&values[first..first + count]);
    lanes
}

/// # Safety
/// `a` is a panel of `TILE_ROWS` rows, `b` one of two vectors, `depth` numbers deep; `out` has `rows` rows of two vectors.
#[inline(always)]
unsafe fn score_tile<S: Simd, N: PanelNumbers, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    out: *mut f32,
    rows: usize,
) {
    let width = tile::columns::<S>();
    // SAFETY: the caller's promise.
    unsafe {
        let sums = N::multiply::<S, ROWS>(depth, a, S::TILE_ROWS, b);
        for (row, sums) in sums.iter().enumerate().take(rows) {
            S::store(out.add(row * width), sums[0]);
            S::store(out.add(row * width + S::LANES), sums[1]);
        }
    }
}

/// Turns scores into a panel of weights `e^(score − largest so far)` and returns what earlier sums must be multiplied with.
#[inline(always)]
unsafe fn soften<S: Simd, N: PanelNumbers>(
    scores: &mut [f32],
    keys: usize,
    running: &mut Running,
) -> [f32; MAX_COLUMNS] {
    let width = tile::columns::<S>();
    let mut shrink = [0.0; MAX_COLUMNS];
    // SAFETY: `scores` has `keys` rows of two vectors, the arrays two vectors.
    unsafe {
        for half in [0, S::LANES] {
            let column = scores.as_mut_ptr().add(half);
            let before = S::load(running.largest.as_ptr().add(half));
            let mut largest = before;
            for key in 0..keys {
                largest = S::max(S::load(column.add(key * width)), largest);
            }
            let factor = S::exp(S::sub(before, largest));
            let mut total = S::mul(S::load(running.total.as_ptr().add(half)), factor);
            // A unit is written where its first scores stood, or before.
            for unit in 0..N::units(keys) {
                let first = unit * N::PER_UNIT;
                let count = (keys - first).min(N::PER_UNIT);
                let mut weights = [S::splat(0.0); 2];
                for (number, weight) in weights.iter_mut().enumerate().take(count) {
                    *weight = S::exp(S::sub(S::load(column.add((first + number) * width)), largest));
                    total = S::add(total, *weight);
                }
                N::store::<S>(weights, column.add(unit * width));
            }
            S::store(running.largest.as_mut_ptr().add(half), largest);
            S::store(running.total.as_mut_ptr().add(half), total);
            S::store(shrink.as_mut_ptr().add(half), factor);
        }
    }
    shrink
}

/// `sums = sums · shrink + values · weights`, `[head_dim, lanes]`.
#[inline(always)]
unsafe fn weigh<S: Simd, N: PanelNumbers>(
    weights: &[f32],
    keys: usize,
    values: &[f32],
    shrink: &[f32; MAX_COLUMNS],
    sums: &mut [f32],
) {
    let width = tile::columns::<S>();
    let panel_len = N::units(keys) * S::TILE_ROWS;
    for panel in 0..values.len() / panel_len {
        // SAFETY: `values` holds whole panels, `keys` numbers deep, `sums` as many rows.
        unsafe {
            let a = values.as_ptr().add(panel * panel_len);
            let out = sums.as_mut_ptr().add(panel * S::TILE_ROWS * width);
            with_rows!(S::TILE_ROWS, weigh_tile::<S, N>(keys, a, weights.as_ptr(), shrink.as_ptr(), out));
        }
    }
}

/// # Safety
/// As [`score_tile`], with `out` and `shrink` readable.
#[inline(always)]
unsafe fn weigh_tile<S: Simd, N: PanelNumbers, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    shrink: *const f32,
    out: *mut f32,
) {
    let width = tile::columns::<S>();
    // SAFETY: the caller's promise.
    unsafe {
        let sums = N::multiply::<S, ROWS>(depth, a, S::TILE_ROWS, b);
        let shrink = [S::load(shrink), S::load(shrink.add(S::LANES))];
        for (row, sums) in sums.iter().enumerate() {
            for half in 0..2 {
                let target = out.add(row * width + half * S::LANES);
                S::store(target, S::fma(S::load(target), shrink[half], sums[half]));
            }
        }
    }
}
