//! Weights with updates added to them.

use super::key::LoraPart;
use super::update::stored;
use super::used::{AppliedLoras, AppliedUpdate, UsedLora};
use crate::weights::source::{Footprint, KeptBytes, TensorSource};
use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, StoredTensor};
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// A source whose f32 matrices come with updates added, in f32. Matrices of other types stay as they are stored: rounding
/// to 16 bits would swallow much of a small update, and quantised blocks cannot hold it; their layers add it while they
/// compute ([`crate::layers::Linear::with_loras`]).
pub struct MergedLoras {
    source: Arc<dyn TensorSource>,
    used: Vec<UsedLora>,
    part: LoraPart,
}

impl MergedLoras {
    /// `source` with those of `used` that are to be merged into the network `part`.
    pub fn new(source: Arc<dyn TensorSource>, used: &[UsedLora], part: LoraPart) -> Self {
        Self { source, used: used.iter().filter(|used| used.is_merged).cloned().collect(), part }
    }
}

impl MergedLoras {
    /// What is added to the matrix `name`, which is stored as `blocks`: nothing where these are not f32.
    fn updates(&self, name: &str, shape: &[usize], blocks: &[StoredTensor]) -> Vec<AppliedUpdate<'_>> {
        let is_f32 = blocks.iter().all(|block| block.element() == Element::F32 && block.scale().is_none());
        match name.strip_suffix(".weight").filter(|_| is_f32 && shape.len() == 2) {
            Some(layer) => AppliedLoras::new(&self.used, self.part).of(layer).collect(),
            None => Vec::new(),
        }
    }
}

impl TensorSource for MergedLoras {
    fn path(&self) -> PathBuf {
        self.source.path()
    }

    fn has(&self, name: &str) -> bool {
        self.source.has(name)
    }

    fn footprint(&self, name: &str, shape: &[usize], kept: KeptBytes<'_>) -> Result<Footprint> {
        if self.updates(name, shape, &self.source.rows(name, shape)?).is_empty() {
            return self.source.footprint(name, shape, kept);
        }
        let numbers = shape.iter().product::<usize>();
        Ok(match kept(Element::F32, numbers) {
            Some(mapped) => Footprint { mapped, copied: 0, largest: mapped },
            None => Footprint { copied: 4 * numbers as u64, ..Footprint::default() },
        })
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        let blocks = self.source.rows(name, shape)?;
        let updates = self.updates(name, shape, &blocks);
        let [_, cols] = shape else { return Ok(blocks) };
        if updates.is_empty() {
            return Ok(blocks);
        }
        let wrong = || Error::internal(format!("{name}: an update does not fit {shape:?}"));
        let mut values = self.source.values(name, shape)?;
        for update in &updates {
            add(&mut values, *cols, update).ok_or_else(wrong)?;
        }
        for block in &blocks {
            block.bytes().forget();
        }
        let merged = StoredTensor::new(name, shape.to_vec(), Element::F32, stored(&values));
        Ok(vec![merged.ok_or_else(wrong)?])
    }
}

/// Adds `factor · up · down` to rows of `cols` numbers; `None` when they do not fit.
fn add(values: &mut [f32], cols: usize, applied: &AppliedUpdate) -> Option<()> {
    let AppliedUpdate { update, factor, .. } = applied;
    let rows = values.get_mut(update.rows.start * cols..update.rows.end * cols).filter(|_| update.cols == cols)?;
    rows.par_chunks_mut(cols.max(1)).zip(update.up.par_chunks(update.rank.max(1))).for_each(|(row, up)| {
        let mut sums = vec![0.0_f32; cols];
        for (up, down) in up.iter().zip(update.down.chunks_exact(cols.max(1))) {
            sums.iter_mut().zip(down).for_each(|(sum, down)| *sum += up * down);
        }
        row.iter_mut().zip(sums).for_each(|(value, sum)| *value += factor * sum);
    });
    Some(())
}
