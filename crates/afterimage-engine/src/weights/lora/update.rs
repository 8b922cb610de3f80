//! Updates of layers.

use super::key::LoraPart;
use super::read::LoraWeights;
use afterimage_tensors::SharedBytes;
use std::ops::Range;
use std::sync::Arc;

/// Numbers as a file would store them.
pub(crate) fn stored(values: &[f32]) -> SharedBytes {
    let mut bytes = vec![0_u8; size_of_val(values)];
    bytes.as_chunks_mut::<4>().0.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = value.to_le_bytes());
    SharedBytes::new(bytes)
}

/// What is added to some outputs of a layer: `factor · up · down` to the weight, `factor · bias` to the bias.
#[derive(Debug)]
pub struct LoraUpdate {
    /// The outputs.
    pub rows: Range<usize>,
    /// Columns of `up` and rows of `down`.
    pub rank: usize,
    /// Inputs of the layer.
    pub cols: usize,
    /// `[rank, cols]`
    pub down: Vec<f32>,
    /// `[rows, rank]`
    pub up: Vec<f32>,
    /// `[rows]`
    pub bias: Option<Vec<f32>>,
    /// alpha / rank.
    pub factor: f32,
}

/// A `LoRA` that a generation uses.
#[derive(Clone, Debug)]
pub struct UsedLora {
    /// Its updates.
    pub weights: Arc<LoraWeights>,
    /// How much of them.
    pub scale: f32,
    /// Whether they are part of the weights already where these are f32; see [`super::MergedLoras`].
    pub is_merged: bool,
}

/// An update with everything that a layer needs to know of it.
#[derive(Clone, Copy, Debug)]
pub struct AppliedUpdate<'a> {
    /// The update.
    pub update: &'a LoraUpdate,
    /// Factor on `up · down` and on `bias`, which PEFT adds within what it scales.
    pub factor: f32,
    /// As in [`UsedLora`].
    pub is_merged: bool,
}

/// What is added to the layers of one network.
#[derive(Clone, Copy, Debug)]
pub struct AppliedLoras<'a> {
    used: &'a [UsedLora],
    part: LoraPart,
    prefix: &'a str,
}

impl<'a> AppliedLoras<'a> {
    /// What `used` add to the network `part`.
    pub fn new(used: &'a [UsedLora], part: LoraPart) -> Self {
        Self { used, part, prefix: "" }
    }

    /// The same for a network whose layers have `prefix` in front of their names.
    #[must_use]
    pub fn behind(self, prefix: &'a str) -> Self {
        Self { prefix, ..self }
    }

    /// Whether nothing is added to any layer of the network.
    pub fn is_empty(&self) -> bool {
        self.used.iter().all(|used| !used.weights.touches(self.part))
    }

    /// The updates of the layer `name`.
    pub fn of(self, name: &str) -> impl Iterator<Item = AppliedUpdate<'a>> + use<'a> {
        let layer = name.strip_prefix(self.prefix).unwrap_or(name).to_owned();
        self.used.iter().flat_map(move |used| {
            let UsedLora { weights, scale, is_merged } = used;
            weights.updates(self.part, &layer).iter().map(|update| AppliedUpdate {
                update,
                factor: (f64::from(*scale) * f64::from(update.factor)) as f32,
                is_merged: *is_merged,
            })
        })
    }
}
