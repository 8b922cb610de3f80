//! A LoRA's file as updates of a model's layers.

use super::key::LoraPart;
use super::pairs::{LoraPair, LoraPairs, refuse, values};
use super::targets::{LoraTarget, LoraTargets};
use super::update::LoraUpdate;
use crate::weights::tensor_file::TensorFile;
use afterimage_core::Result;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A LoRA in memory, fitted to a model: its updates by canonical names of layers. Nothing of the file is used any more.
#[derive(Debug, Default)]
pub struct LoraWeights {
    updates: BTreeMap<LoraPart, BTreeMap<String, Vec<LoraUpdate>>>,
}

/// The layers of a network, worked out when a file changes it.
pub type TargetsOf<'a> = &'a dyn Fn(LoraPart) -> Result<Arc<LoraTargets>>;

impl LoraWeights {
    /// Reads the safetensors file `path`.
    ///
    /// # Errors
    /// Those of [`LoraPairs::open`] and [`LoraWeights::fit`].
    pub fn read(path: &Path, targets: TargetsOf) -> Result<Self> {
        Self::fit(&LoraPairs::open(path)?, targets)
    }

    /// The pairs as updates of the layers in `targets`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Tensor`] for the first tensor whose layer the model does not have, or whose shape is not the layer's, or
    /// whose numbers cannot be used.
    pub fn fit(pairs: &LoraPairs, targets: TargetsOf) -> Result<Self> {
        let mut fitted = Self::default();
        let mut known: BTreeMap<LoraPart, Arc<LoraTargets>> = BTreeMap::new();
        let mut found = Vec::new();
        for (part, module, pair) in pairs.pairs() {
            let layers = match known.get(&part) {
                Some(layers) => Arc::clone(layers),
                None => Arc::clone(known.entry(part).or_insert(targets(part)?)),
            };
            let Some(target) = layers.find(module).cloned() else {
                let expected = format!("a layer of this model's {part}");
                return Err(refuse(pairs.file().path(), &pair.down, &expected, "none of that name"));
            };
            found.push((part, module, pair, target));
        }
        let read = |(part, module, pair, target): &(LoraPart, &str, &LoraPair, LoraTarget)| {
            update(pairs, *part, module, pair, target)
        };
        let updates: Vec<Result<LoraUpdate>> = found.par_iter().map(read).collect();
        for ((part, .., target), update) in found.into_iter().zip(updates) {
            fitted.updates.entry(part).or_default().entry(target.layer).or_default().push(update?);
        }
        Ok(fitted)
    }

    /// The updates of the layer `layer` of a network.
    pub fn updates(&self, part: LoraPart, layer: &str) -> &[LoraUpdate] {
        self.updates.get(&part).and_then(|layers| layers.get(layer)).map_or(&[], Vec::as_slice)
    }

    /// Whether it changes a network.
    pub fn touches(&self, part: LoraPart) -> bool {
        self.updates.contains_key(&part)
    }

    /// Whether it changes how prompts are encoded.
    pub fn touches_text(&self) -> bool {
        self.touches(LoraPart::Clip) || self.touches(LoraPart::T5)
    }

    /// Bytes of its numbers.
    pub fn bytes(&self) -> usize {
        let numbers = |update: &LoraUpdate| update.down.len() + update.up.len();
        4 * self.updates.values().flat_map(BTreeMap::values).flatten().map(numbers).sum::<usize>()
    }

    /// Bytes of the matrices that it changes, as f32.
    pub fn changed_bytes(&self) -> u64 {
        // Of each layer the rows up to the last that is changed: all of them, but for the single blocks' MLPs.
        let layer = |updates: &Vec<LoraUpdate>| {
            let rows = updates.iter().map(|update| update.rows.end).max().unwrap_or(0);
            4 * rows as u64 * updates.first().map_or(0, |update| update.cols) as u64
        };
        self.updates.values().flat_map(BTreeMap::values).map(layer).sum()
    }
}

fn update(pairs: &LoraPairs, part: LoraPart, module: &str, pair: &LoraPair, target: &LoraTarget) -> Result<LoraUpdate> {
    let file = pairs.file();
    let LoraTarget { rows, pieces, cols, .. } = target;
    let shaped = |name: &str, expected: &[usize]| match file.info(name) {
        Some(info) if info.shape == expected => Ok(()),
        info => {
            let found = info.map_or_else(|| "nothing".to_owned(), |info| format!("{:?}", info.shape));
            Err(refuse(
                file.path(),
                name,
                &format!("{expected:?}, since the model's layer is {}x{cols}", rows.len()),
                &found,
            ))
        }
    };
    shaped(&pair.down, &[pair.rank, *cols])?;
    shaped(&pair.up, &[rows.len(), pair.rank])?;
    // Numbers are read after their shapes were found to be those of the model.
    let ordered = |values: Vec<f32>, width: usize| -> Vec<f32> {
        if let [_] = pieces[..] {
            return values;
        }
        pieces.iter().flat_map(|piece| values[piece.start * width..piece.end * width].to_vec()).collect()
    };
    let bias = match &pair.up_bias {
        Some(name) => {
            shaped(name, &[rows.len()])?;
            Some(ordered(values(file, name)?, 1))
        }
        None => None,
    };
    Ok(LoraUpdate {
        rows: rows.clone(),
        rank: pair.rank,
        cols: *cols,
        down: values(file, &pair.down)?,
        up: ordered(values(file, &pair.up)?, pair.rank),
        bias,
        factor: pairs.factor(part, module, pair)?,
    })
}
