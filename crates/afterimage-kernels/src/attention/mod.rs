//! Scaled dot-product attention that never holds the queries × keys scores.
//!
//! The running softmax over blocks of keys follows Dao et al. (the flash attention paper of 2022). Scores are computed transposed,
//! `k qᵀ`: a vector's lanes are queries, so the softmax's maxima and sums over keys are plain vector operations, and the
//! weights come out in the layout that the product with the values reads. Memory beyond inputs and output: the packed
//! keys and values of a few heads, and one score block of 264 keys × 32 queries per thread.
//!
//! Both products are of f32, or of bf16 with sums in f32. The softmax is f32 in either case.
//!
//! | file | what |
//! |---|---|
//! | `shape.rs` | the arguments |
//! | `packer.rs` | keys and values in panels |
//! | `block.rs` | some queries against all keys |

mod block;
mod packer;
mod shape;

pub use shape::{AttentionBias, AttentionInputs, AttentionShape, Tokens};

use crate::gemm::{Narrow, RowsMut};
use crate::panel::{Floats, Halves, PanelNumbers};
use crate::scratch;
use crate::simd::{Isa, dispatch_on};
use crate::tile::SharedOutput;
use block::{HeadOutput, QUERY_BLOCK_TILES, QueryBlock};
use packer::Packer;
use rayon::prelude::*;
use std::marker::PhantomData;

/// Units of packed keys (and as many of values) held at once: 64 MB each.
const PACKED_UNITS: usize = 16 << 20;

/// Writes `softmax(q kᵀ · scale + bias) v` of token `t`, head `h` to `out.data[t * out.stride + h * head_dim ..][..head_dim]`.
/// With [`Narrow::bf16`] queries times scale, keys, values and the weights of the softmax are rounded to bf16 before they
/// are multiplied.
///
/// # Panics
/// When a buffer is too short for `shape`, or there is no key.
#[expect(clippy::needless_pass_by_value, reason = "an exclusive view is used up by writing to it")]
pub fn attention_on(
    isa: Isa,
    narrow: Narrow,
    shape: &AttentionShape,
    inputs: AttentionInputs,
    bias: &AttentionBias,
    out: RowsMut,
) {
    if shape.queries == 0 || shape.heads == 0 || shape.head_dim == 0 {
        return;
    }
    assert!(shape.keys > 0, "attention without keys");
    let AttentionInputs { queries, keys, values } = inputs;
    queries.check(shape.queries, shape, "queries");
    keys.check(shape.keys, shape, "keys");
    values.check(shape.keys, shape, "values");
    bias.check(shape);
    let width = shape.heads * shape.head_dim;
    assert!(
        out.stride >= width && out.data.len() >= (shape.queries - 1) * out.stride + width,
        "output shorter than {shape:?}"
    );
    let out = HeadOutput { data: SharedOutput(out.data.as_mut_ptr()), stride: out.stride };
    let call = Call { isa, shape, inputs, bias, out };
    if narrow.bf16 {
        call.run::<Halves>();
    } else {
        call.run::<Floats>();
    }
}

/// A call that was checked.
struct Call<'a> {
    isa: Isa,
    shape: &'a AttentionShape,
    inputs: AttentionInputs<'a>,
    bias: &'a AttentionBias<'a>,
    out: HeadOutput,
}

impl Call<'_> {
    fn run<N: PanelNumbers>(&self) {
        let Call { isa, shape, bias, out, .. } = *self;
        let AttentionInputs { queries: q, keys: k, values: v } = self.inputs;
        let (tile_rows, tile_columns) = crate::gemm::tile_of(isa);
        let packed_keys = shape.keys.next_multiple_of(tile_rows) * N::units(shape.head_dim);
        let packed_values = N::units(shape.keys) * shape.head_dim.next_multiple_of(tile_rows);
        let group = (PACKED_UNITS / packed_keys.max(packed_values)).clamp(1, shape.heads);
        let mut keys = scratch::take(group * packed_keys);
        let mut values = scratch::take(group * packed_values);
        for first_head in (0..shape.heads).step_by(group) {
            let heads = first_head..(first_head + group).min(shape.heads);
            let packer = Packer { isa, shape, tile_rows, k, v, numbers: PhantomData::<N> };
            packer.pack_keys(&heads, &mut keys[..heads.len() * packed_keys]);
            packer.pack_values(&heads, &mut values[..heads.len() * packed_values]);
            let tiles = shape.queries.div_ceil(tile_columns);
            // Fewer tiles a task when there would be too few tasks to keep every thread busy.
            let per_task = (heads.len() * tiles / (4 * rayon::current_num_threads())).clamp(1, QUERY_BLOCK_TILES);
            let blocks = tiles.div_ceil(per_task);
            (0..heads.len() * blocks).into_par_iter().for_each(|task| {
                let (head, block) = (task / blocks, task % blocks);
                let query_block = QueryBlock {
                    shape,
                    q,
                    bias,
                    keys: &keys[head * packed_keys..][..packed_keys],
                    values: &values[head * packed_values..][..packed_values],
                    head: heads.start + head,
                    tiles: block * per_task..((block + 1) * per_task).min(tiles),
                    out,
                    numbers: PhantomData::<N>,
                };
                dispatch_on(isa, query_block);
            });
        }
    }
}

#[cfg(test)]
mod tests;
