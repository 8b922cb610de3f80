//! Which tensors each model needs, by canonical name and shape, and its sizes read back from a file's shapes.
//!
//! Models ask for what they need on their own; these lists serve `models inspect` and the tests.

mod encoders;
mod flux;
mod vae;

pub use encoders::{ClipSizes, ReduxSizes, SiglipSizes, T5Sizes};
pub use flux::{double_block, flux, single_block};
pub use vae::{vae, vae_sizes};

/// A tensor that a model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Canonical name.
    pub name: String,
    /// Shape, slowest dimension first.
    pub shape: Vec<usize>,
}

impl Wanted {
    /// Numbers in the tensor, saturating.
    pub fn numbers(&self) -> usize {
        self.shape.iter().fold(1, |numbers, side| numbers.saturating_mul(*side))
    }
}

/// Collects tensors below a common prefix.
#[derive(Default)]
struct List {
    wanted: Vec<Wanted>,
}

impl List {
    fn tensor(&mut self, name: String, shape: &[usize]) {
        self.wanted.push(Wanted { name, shape: shape.to_vec() });
    }

    /// Weight `[rows, cols]` and bias of a linear layer.
    fn linear(&mut self, name: &str, rows: usize, cols: usize) {
        self.tensor(format!("{name}.weight"), &[rows, cols]);
        self.tensor(format!("{name}.bias"), &[rows]);
    }

    /// Weight and bias of a normalisation.
    fn norm(&mut self, name: &str, width: usize) {
        self.tensor(format!("{name}.weight"), &[width]);
        self.tensor(format!("{name}.bias"), &[width]);
    }

    /// Weight `[out, in, side, side]` and bias of a convolution.
    fn conv(&mut self, name: &str, out: usize, input: usize, side: usize) {
        self.tensor(format!("{name}.weight"), &[out, input, side, side]);
        self.tensor(format!("{name}.bias"), &[out]);
    }
}

/// More blocks than any model has; a damaged file cannot make us count further.
pub(super) const MOST_BLOCKS: usize = 100_000;

/// Counts `name(0)`, `name(1)`, … while `has` finds them.
pub(super) fn count(has: impl Fn(&str) -> bool, name: impl Fn(usize) -> String) -> usize {
    (0..MOST_BLOCKS).take_while(|number| has(&name(*number))).count()
}
