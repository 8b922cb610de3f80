//! Scaled dot-product attention that never holds the queries × keys scores.
//!
//! The running softmax over blocks of keys follows Dao et al. (the flash attention paper of 2022). Scores are computed transposed,
//! `k qᵀ`: a vector's lanes are queries, so the softmax's maxima and sums over keys are plain vector operations, and the
//! weights come out in the layout that the product with the values reads. Memory beyond inputs and output: the packed
//! keys and values of a few heads, and one score block of 264 keys × 32 queries per thread.

use crate::pack::PackRows;
use crate::scratch;
use crate::simd::{Isa, Kernel, Simd, dispatch_on};
use crate::tile::{self, MAX_COLUMNS, with_rows};
use rayon::prelude::*;
use std::ops::Range;

/// Sizes of one attention call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Query tokens.
    pub queries: usize,
    /// Key and value tokens.
    pub keys: usize,
    /// Heads.
    pub heads: usize,
    /// Width of one head, any positive number.
    pub head_dim: usize,
    /// Factor on q·k, usually `head_dim^-0.5`.
    pub scale: f32,
}

/// A view of `[tokens, heads, head_dim]` inside a wider row-major buffer: element `d` of head `h` of token `t` stands
/// at `data[t * row_stride + offset + h * head_dim + d]`.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// The buffer.
    pub data: &'a [f32],
    /// Numbers from one token to the next.
    pub row_stride: usize,
    /// Where head 0 of token 0 starts.
    pub offset: usize,
}

impl<'a> Tokens<'a> {
    /// The numbers of one head of one token.
    pub fn row(&self, token: usize, head: usize, head_dim: usize) -> &'a [f32] {
        &self.data[token * self.row_stride + self.offset + head * head_dim..][..head_dim]
    }
}

/// What is added to the scaled scores before the softmax.
#[derive(Clone, Copy, Debug)]
pub enum AttentionBias<'a> {
    /// Nothing.
    None,
    /// `offset[key] + gate[query] * gated[key]`: collapsed tokens (ln of their count in `offset`) and the Redux
    /// strength (ln strength in `gated` for image tokens, gate 1 for all other queries). All finite.
    Keys {
        /// One number a key.
        offset: &'a [f32],
        /// One number a key.
        gated: &'a [f32],
        /// One number a query.
        gate: &'a [f32],
    },
    /// A number per pair, **key-major**: `values[(head * keys + key) * queries + query]`, −∞ allowed as long as every
    /// query keeps a finite key. Without `per_head` all heads share one `[keys, queries]` table.
    Pairs {
        /// The table.
        values: &'a [f32],
        /// Whether each head has its own.
        per_head: bool,
    },
}

impl AttentionBias<'_> {
    /// The number added for one pair.
    pub fn at(&self, shape: &AttentionShape, head: usize, query: usize, key: usize) -> f32 {
        match self {
            Self::None => 0.0,
            Self::Keys { offset, gated, gate } => offset[key] + gate[query] * gated[key],
            Self::Pairs { values, per_head } => {
                let head = if *per_head { head } else { 0 };
                values[(head * shape.keys + key) * shape.queries + query]
            }
        }
    }
}

/// Keys of one block: a multiple of every instruction set's tile height, small enough that the block's keys, values and
/// scores stay in the second-level cache.
const KEY_BLOCK: usize = 264;
/// Queries of one task: four tiles share each block of keys and values while it is in the cache.
const QUERY_BLOCK_TILES: usize = 4;
/// Numbers of packed keys (and as many of values) held at once: 64 MB each.
const PACKED_NUMBERS: usize = 16 << 20;
/// Smaller than any score, and still finite so that differences of maxima are.
const LOWEST: f32 = -1e30;

/// Writes `softmax(q kᵀ · scale + bias) v` of token `t`, head `h` to
/// `out[t * out_stride + out_offset + h * head_dim ..][..head_dim]`.
///
/// # Panics
/// When a buffer is too short for `shape`, or there is no key.
#[expect(
    clippy::too_many_arguments,
    reason = "the three inputs are three places in one buffer of tokens, the output a fourth"
)]
pub fn attention(
    shape: &AttentionShape,
    q: Tokens,
    k: Tokens,
    v: Tokens,
    bias: &AttentionBias,
    out: &mut [f32],
    out_stride: usize,
    out_offset: usize,
) {
    attention_on(Isa::detect(), shape, q, k, v, bias, out, out_stride, out_offset);
}

/// [`attention`] with a chosen instruction set.
///
/// # Panics
/// As [`attention`].
#[expect(clippy::too_many_arguments, reason = "as `attention`")]
pub fn attention_on(
    isa: Isa,
    shape: &AttentionShape,
    q: Tokens,
    k: Tokens,
    v: Tokens,
    bias: &AttentionBias,
    out: &mut [f32],
    out_stride: usize,
    out_offset: usize,
) {
    if shape.queries == 0 || shape.heads == 0 || shape.head_dim == 0 {
        return;
    }
    let width = shape.heads * shape.head_dim;
    assert!(shape.keys > 0, "attention without keys");
    let fits = |len: usize, tokens: usize, stride: usize, offset: usize| len >= (tokens - 1) * stride + offset + width;
    assert!(fits(q.data.len(), shape.queries, q.row_stride, q.offset), "queries shorter than {shape:?}");
    assert!(fits(k.data.len(), shape.keys, k.row_stride, k.offset), "keys shorter than {shape:?}");
    assert!(fits(v.data.len(), shape.keys, v.row_stride, v.offset), "values shorter than {shape:?}");
    assert!(
        out_stride >= width && fits(out.len(), shape.queries, out_stride, out_offset),
        "output shorter than {shape:?}"
    );
    match bias {
        AttentionBias::None => {}
        AttentionBias::Keys { offset, gated, gate } => {
            assert!(offset.len() == shape.keys && gated.len() == shape.keys, "a bias per key");
            assert!(gate.len() == shape.queries, "a gate per query");
        }
        AttentionBias::Pairs { values, per_head } => {
            let tables = if *per_head { shape.heads } else { 1 };
            assert!(values.len() == tables * shape.keys * shape.queries, "a bias per pair");
        }
    }
    let (tile_rows, tile_columns) = crate::gemm::tile_of(isa);
    let packed_keys = shape.keys.next_multiple_of(tile_rows) * shape.head_dim;
    let packed_values = shape.keys * shape.head_dim.next_multiple_of(tile_rows);
    let group = (PACKED_NUMBERS / packed_keys.max(packed_values)).clamp(1, shape.heads);
    let mut keys = scratch::take(group * packed_keys);
    let mut values = scratch::take(group * packed_values);
    let out = HeadOutput { data: out.as_mut_ptr(), stride: out_stride, offset: out_offset };
    for first_head in (0..shape.heads).step_by(group) {
        let heads = first_head..(first_head + group).min(shape.heads);
        let packer = Packer { isa, shape, tile_rows, k, v };
        packer.pack_keys(&heads, &mut keys[..heads.len() * packed_keys]);
        packer.pack_values(&heads, &mut values[..heads.len() * packed_values]);
        let tiles = shape.queries.div_ceil(tile_columns);
        // Fewer tiles a task when there would be too few tasks to keep every thread busy.
        let per_task = (heads.len() * tiles / (4 * rayon::current_num_threads())).clamp(1, QUERY_BLOCK_TILES);
        let blocks = tiles.div_ceil(per_task);
        (0..heads.len() * blocks).into_par_iter().for_each(|task| {
            let (head, block) = (task / blocks, task % blocks);
            dispatch_on(
                isa,
                QueryBlock {
                    shape,
                    q,
                    bias,
                    keys: &keys[head * packed_keys..][..packed_keys],
                    values: &values[head * packed_values..][..packed_values],
                    head: heads.start + head,
                    tiles: block * per_task..((block + 1) * per_task).min(tiles),
                    out,
                },
            );
        });
    }
}

#[derive(Clone, Copy)]
struct HeadOutput {
    data: *mut f32,
    stride: usize,
    offset: usize,
}

// SAFETY: tasks write disjoint heads and queries of the output.
unsafe impl Send for HeadOutput {}
// SAFETY: as above.
unsafe impl Sync for HeadOutput {}

/// Brings keys and values of some heads into panels.
struct Packer<'a> {
    isa: Isa,
    shape: &'a AttentionShape,
    tile_rows: usize,
    k: Tokens<'a>,
    v: Tokens<'a>,
}

impl Packer<'_> {
    /// Per head: panels of `tile_rows` keys, `[head_dim, tile_rows]` each.
    fn pack_keys(&self, heads: &Range<usize>, out: &mut [f32]) {
        let (dim, keys) = (self.shape.head_dim, self.shape.keys);
        let panels = keys.div_ceil(self.tile_rows);
        out.par_chunks_mut(self.tile_rows * dim).with_min_len(16).enumerate().for_each(|(index, panel)| {
            let (head, first) = (heads.start + index / panels, index % panels * self.tile_rows);
            let start = self.k.offset + head * dim;
            let rows = first..(first + self.tile_rows).min(keys);
            let (x, stride, width) = (&self.k.data[start..], self.k.row_stride, self.tile_rows);
            dispatch_on(self.isa, PackRows { x, stride, rows, cols: 0..dim, width, panel });
        });
    }

    /// Per head and block of keys: panels of `tile_rows` dimensions, `[keys of the block, tile_rows]` each.
    fn pack_values(&self, heads: &Range<usize>, out: &mut [f32]) {
        let (dim, keys) = (self.shape.head_dim, self.shape.keys);
        let padded = dim.next_multiple_of(self.tile_rows);
        out.par_chunks_mut(keys * padded).enumerate().for_each(|(index, out)| {
            let head = heads.start + index;
            out.par_chunks_mut(KEY_BLOCK * padded).enumerate().for_each(|(block, out)| {
                let block_keys = out.len() / padded;
                for key in 0..block_keys {
                    let row = self.v.row(block * KEY_BLOCK + key, head, dim);
                    for (panel, part) in row.chunks(self.tile_rows).enumerate() {
                        let target = &mut out[(panel * block_keys + key) * self.tile_rows..][..self.tile_rows];
                        target[..part.len()].copy_from_slice(part);
                        target[part.len()..].fill(0.0);
                    }
                }
            });
        });
    }
}

/// Some query tiles of one head against all keys.
struct QueryBlock<'a> {
    shape: &'a AttentionShape,
    q: Tokens<'a>,
    bias: &'a AttentionBias<'a>,
    keys: &'a [f32],
    values: &'a [f32],
    head: usize,
    tiles: Range<usize>,
    out: HeadOutput,
}

/// The running softmax of one query tile.
#[derive(Clone, Copy)]
struct Running {
    largest: [f32; MAX_COLUMNS],
    total: [f32; MAX_COLUMNS],
}

impl Kernel for QueryBlock<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = tile::columns::<S>();
        let dim = self.shape.head_dim;
        let padded = dim.next_multiple_of(S::TILE_ROWS);
        let count = self.tiles.len();
        let mut queries = scratch::take(count * dim * width);
        let mut sums = scratch::take(count * padded * width);
        sums[..count * padded * width].fill(0.0);
        let mut scores = scratch::take(KEY_BLOCK * width);
        let mut running = [Running { largest: [LOWEST; MAX_COLUMNS], total: [0.0; MAX_COLUMNS] }; QUERY_BLOCK_TILES];
        for (index, tile) in self.tiles.clone().enumerate() {
            let packed = &mut queries[index * dim * width..][..dim * width];
            let rows = tile * width..((tile + 1) * width).min(self.shape.queries);
            let start = self.q.offset + self.head * dim;
            let (x, stride) = (&self.q.data[start..], self.q.row_stride);
            // SAFETY: this instruction set is the caller's promise.
            unsafe { PackRows { x, stride, rows, cols: 0..dim, width, panel: packed }.run::<S>() };
            for value in packed {
                *value *= self.shape.scale;
            }
        }
        for block in 0..self.shape.keys.div_ceil(KEY_BLOCK) {
            let first = block * KEY_BLOCK;
            let block_keys = (self.shape.keys - first).min(KEY_BLOCK);
            for (index, tile) in self.tiles.clone().enumerate() {
                let queries = &queries[index * dim * width..][..dim * width];
                // SAFETY: all buffers have the sizes computed above.
                unsafe {
                    self.score::<S>(tile * width, first, block_keys, queries, &mut scores);
                    let shrink = soften::<S>(&mut scores, block_keys, &mut running[index]);
                    let values = &self.values[first * padded..][..block_keys * padded];
                    let sums = &mut sums[index * padded * width..][..padded * width];
                    weigh::<S>(&scores, block_keys, values, &shrink, sums);
                }
            }
        }
        for (index, tile) in self.tiles.clone().enumerate() {
            let sums = &sums[index * padded * width..][..padded * width];
            let lanes = width.min(self.shape.queries - tile * width);
            for lane in 0..lanes {
                let factor = 1.0 / running[index].total[lane];
                let row = (tile * width + lane) * self.out.stride + self.out.offset + self.head * dim;
                for d in 0..dim {
                    // SAFETY: inside the output, checked by `attention_on`; this task owns these queries and this head.
                    unsafe { *self.out.data.add(row + d) = sums[d * width + lane] * factor };
                }
            }
        }
    }
}

impl QueryBlock<'_> {
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
        // SAFETY: `keys` holds whole panels, `scores` a block, `queries` `dim` groups.
        unsafe {
            for panel in 0..block_keys.div_ceil(S::TILE_ROWS) {
                let rows = (block_keys - panel * S::TILE_ROWS).min(S::TILE_ROWS);
                let a = self.keys.as_ptr().add((first + panel * S::TILE_ROWS) * dim);
                let out = scores.as_mut_ptr().add(panel * S::TILE_ROWS * width);
                with_rows!(rows, score_tile::<S>(dim, a, queries.as_ptr(), out, rows));
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
/// `a` is a panel of `depth` groups of `TILE_ROWS`, `b` of `depth` groups of two vectors, `out` has `rows` rows of two
/// vectors.
#[inline(always)]
unsafe fn score_tile<S: Simd, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    out: *mut f32,
    rows: usize,
) {
    let width = tile::columns::<S>();
    // SAFETY: the caller's promise.
    unsafe {
        let sums = tile::multiply::<S, ROWS>(depth, a, S::TILE_ROWS, |k| b.add(k * width));
        for (row, sums) in sums.iter().enumerate().take(rows) {
            S::store(out.add(row * width), sums[0]);
            S::store(out.add(row * width + S::LANES), sums[1]);
        }
    }
}

/// Turns scores into weights `e^(score − largest so far)` and returns what earlier sums must be multiplied with.
#[inline(always)]
unsafe fn soften<S: Simd>(scores: &mut [f32], keys: usize, running: &mut Running) -> [f32; MAX_COLUMNS] {
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
            for key in 0..keys {
                let weight = S::exp(S::sub(S::load(column.add(key * width)), largest));
                S::store(column.add(key * width), weight);
                total = S::add(total, weight);
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
unsafe fn weigh<S: Simd>(weights: &[f32], keys: usize, values: &[f32], shrink: &[f32; MAX_COLUMNS], sums: &mut [f32]) {
    let width = tile::columns::<S>();
    for panel in 0..values.len() / keys / S::TILE_ROWS {
        // SAFETY: `values` holds whole panels of `keys` groups, `sums` as many rows.
        unsafe {
            let a = values.as_ptr().add(panel * keys * S::TILE_ROWS);
            let out = sums.as_mut_ptr().add(panel * S::TILE_ROWS * width);
            with_rows!(S::TILE_ROWS, weigh_tile::<S>(keys, a, weights.as_ptr(), shrink.as_ptr(), out));
        }
    }
}

/// # Safety
/// As [`score_tile`], with `out` and `shrink` readable.
#[inline(always)]
unsafe fn weigh_tile<S: Simd, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    shrink: *const f32,
    out: *mut f32,
) {
    let width = tile::columns::<S>();
    // SAFETY: the caller's promise.
    unsafe {
        let sums = tile::multiply::<S, ROWS>(depth, a, S::TILE_ROWS, |k| b.add(k * width));
        let shrink = [S::load(shrink), S::load(shrink.add(S::LANES))];
        for (row, sums) in sums.iter().enumerate() {
            for half in 0..2 {
                let target = out.add(row * width + half * S::LANES);
                S::store(target, S::fma(S::load(target), shrink[half], sums[half]));
            }
        }
    }
}

#[cfg(test)]
mod tests;
