//! The names and shapes under which the files of a layout keep canonical tensors: what a writer needs.

use super::encoders::LlamaT5;
use super::flux::DiffusersFlux;
use super::naming::{Canonical, Naming, Take};
use super::vae::Bfl;
use crate::weights::recorder::Wanted;
use std::collections::BTreeSet;

/// Layouts that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenLayout {
    /// Canonical names.
    Canonical,
    /// A FLUX transformer in diffusers' names.
    DiffusersFlux,
    /// A VAE of so many levels in Black Forest Labs' names; its attention is made of 1×1 convolutions.
    BflVae {
        /// Resolution levels.
        levels: usize,
    },
    /// T5's encoder in llama.cpp's names.
    LlamaT5,
}

impl WrittenLayout {
    /// The tensors that a file has, for the canonical ones.
    pub fn tensors(self, wanted: &[Wanted]) -> Vec<Wanted> {
        let naming: Box<dyn Naming> = match self {
            Self::Canonical => Box::new(Canonical),
            Self::DiffusersFlux => Box::new(DiffusersFlux),
            Self::BflVae { levels } => Box::new(Bfl { levels }),
            Self::LlamaT5 => Box::new(LlamaT5),
        };
        let (mut tensors, mut seen) = (Vec::new(), BTreeSet::new());
        for Wanted { name, shape } in wanted {
            let parts = naming.parts(name);
            let shares: usize = parts.iter().map(|part| part.share).sum();
            for part in parts {
                let mut shape = shape.clone();
                if let Some(rows) = shape.first_mut().filter(|_| part.take == Take::All) {
                    *rows = *rows / shares * part.share;
                }
                if matches!(self, Self::BflVae { .. }) && part.name.contains(".attn_1.") && shape.len() == 2 {
                    shape.extend([1, 1]);
                }
                // The halves of one tensor are that one tensor.
                if seen.insert(part.name.clone()) {
                    tensors.push(Wanted { name: part.name, shape });
                }
            }
        }
        tensors
    }
}
