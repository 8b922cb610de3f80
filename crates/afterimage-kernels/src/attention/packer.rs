//! Keys and values in panels.

use super::shape::{AttentionShape, Tokens};
use crate::panel::PanelNumbers;
use crate::simd::{Isa, Kernel, Simd, dispatch_on};
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Keys of one block: a multiple of every instruction set's tile height, small enough that the block's keys, values and
/// scores stay in the second-level cache.
pub(super) const KEY_BLOCK: usize = 264;

/// Brings keys and values of some heads into panels.
pub(super) struct Packer<'a, N> {
    pub isa: Isa,
    pub shape: &'a AttentionShape,
    pub tile_rows: usize,
    pub k: Tokens<'a>,
    pub v: Tokens<'a>,
    pub numbers: PhantomData<N>,
}

impl<N: PanelNumbers> Packer<'_, N> {
    /// Per head: panels of `tile_rows` keys, `head_dim` deep.
    pub fn pack_keys(&self, heads: &Range<usize>, out: &mut [f32]) {
        let (dim, keys) = (self.shape.head_dim, self.shape.keys);
        let panels = keys.div_ceil(self.tile_rows);
        let length = self.tile_rows * N::units(dim);
        out.par_chunks_mut(length).with_min_len(16).enumerate().for_each(|(index, panel)| {
            let (head, first) = (heads.start + index / panels, index % panels * self.tile_rows);
            let rows = first..(first + self.tile_rows).min(keys);
            let pack =
                KeyPanel { k: self.k, start: self.k.offset + head * dim, rows, dim, panel, width: self.tile_rows };
            dispatch_on(self.isa, PackKeys(pack, PhantomData::<N>));
        });
    }

    /// Per head and block of keys: panels of `tile_rows` dimensions, as deep as the block.
    pub fn pack_values(&self, heads: &Range<usize>, out: &mut [f32]) {
        let (dim, keys) = (self.shape.head_dim, self.shape.keys);
        let padded = dim.next_multiple_of(self.tile_rows);
        out.par_chunks_mut(N::units(keys) * padded).enumerate().for_each(|(index, out)| {
            let head = heads.start + index;
            out.par_chunks_mut(N::units(KEY_BLOCK) * padded).enumerate().for_each(|(block, out)| {
                let units = out.len() / padded;
                for unit in 0..units {
                    let first = block * KEY_BLOCK + unit * N::PER_UNIT;
                    let row = |number: usize| {
                        (number < N::PER_UNIT && first + number < keys).then(|| self.v.row(first + number, head, dim))
                    };
                    let rows = [row(0), row(1)];
                    for (panel, start) in (0..dim).step_by(self.tile_rows).enumerate() {
                        let part = start..(start + self.tile_rows).min(dim);
                        let target = &mut out[(panel * units + unit) * self.tile_rows..][..self.tile_rows];
                        N::join([part_of(rows[0], &part), part_of(rows[1], &part)], &mut target[..part.len()]);
                        target[part.len()..].fill(0.0);
                    }
                }
            });
        });
    }
}

fn part_of<'a>(row: Option<&'a [f32]>, part: &Range<usize>) -> Option<&'a [f32]> {
    row.map(|row| &row[part.clone()])
}

/// Some keys of a head, which start at `start` in the first token.
struct KeyPanel<'a> {
    k: Tokens<'a>,
    start: usize,
    rows: Range<usize>,
    dim: usize,
    width: usize,
    panel: &'a mut [f32],
}

struct PackKeys<'a, N>(KeyPanel<'a>, PhantomData<N>);

impl<N: PanelNumbers> Kernel for PackKeys<'_, N> {
    type Output = ();
    const DOTS: bool = N::DOTS;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let KeyPanel { k, start, rows, dim, width, panel } = self.0;
        // SAFETY: this instruction set is the caller's promise, and the panel has its length.
        unsafe { N::pack_rows::<S>(&k.data[start..], k.row_stride, rows, 0..dim, width, panel) };
    }
}
