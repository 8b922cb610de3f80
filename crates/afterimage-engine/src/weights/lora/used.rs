//! The updates that a generation uses.

use super::key::LoraPart;
use super::read::LoraWeights;
use super::update::LoraUpdate;
use std::sync::Arc;

/// A LoRA that a generation uses.
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
