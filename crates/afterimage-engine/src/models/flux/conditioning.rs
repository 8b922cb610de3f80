//! Everything a request fixes before its first step.

use super::blocks::{DoubleBlock, SingleBlock};
use super::positions::{Grid, rotary_table};
use super::{FluxTransformer, SINUSOID_WIDTH};
use crate::layers::{Linear, add, silu};
use afterimage_core::{Error, Result};
use afterimage_kernels::norm::RotaryTable;

/// What the encoders and the request give.
pub struct ConditioningInputs<'a> {
    /// Text tokens, then image tokens of Redux: `[tokens, joint_attention_dim]`.
    pub context: &'a [f32],
    /// Pooled text vector `[pooled_projection_dim]`.
    pub pooled: &'a [f32],
    /// Timesteps / 1000 of the steps that run: [`crate::sampling::timesteps`].
    pub timesteps: &'a [f32],
    /// Distilled guidance; ignored by models without the embedding.
    pub guidance: f32,
    /// Grid of image tokens.
    pub grid: Grid,
    /// Attention bias of context tokens, if any.
    pub bias: Option<TokenBias>,
}

/// An attention bias that depends on the context token attended to.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenBias {
    /// Added for every query: ln n for a token that stands for n equal ones. One number a context token.
    pub for_all: Vec<f32>,
    /// Added for queries that are not Redux tokens: ln strength on Redux tokens. One number a context token; tokens
    /// with a number other than 0 are the exempt queries.
    pub for_others: Vec<f32>,
}

/// The request's constants: text after `txt_in`, the modulation of every block at every step, the rotary table.
///
/// Modulations depend on step, guidance and pooled vector only, so all steps are computed in one matrix product a
/// block; a step then reads its row. (They hold 27 % of FLUX's parameters.)
pub struct Conditioning {
    pub(super) text: Vec<f32>,
    pub(super) text_tokens: usize,
    pub(super) grid: Grid,
    pub(super) rotary: RotaryTable,
    pub(super) bias: Option<ExpandedBias>,
    /// Per double block: image and text `[steps, 6 × hidden]`.
    pub(super) double: Vec<[Vec<f32>; 2]>,
    /// Per single block `[steps, 3 × hidden]`.
    pub(super) single: Vec<Vec<f32>>,
    /// `[steps, 2 × hidden]`: shift, scale.
    pub(super) last: Vec<f32>,
    pub(super) steps: usize,
}

/// A [`TokenBias`] over all tokens.
pub(super) struct ExpandedBias {
    pub offset: Vec<f32>,
    pub gated: Vec<f32>,
    pub gate: Vec<f32>,
}

impl ExpandedBias {
    fn new(bias: &TokenBias, image_tokens: usize) -> Self {
        let extend = |values: &[f32], fill: f32| {
            let mut values = values.to_vec();
            values.resize(values.len() + image_tokens, fill);
            values
        };
        let gate: Vec<f32> = bias.for_others.iter().map(|value| if *value == 0.0 { 1.0 } else { 0.0 }).collect();
        Self { offset: extend(&bias.for_all, 0.0), gated: extend(&bias.for_others, 0.0), gate: extend(&gate, 1.0) }
    }
}

impl Conditioning {
    /// Steps it was prepared for.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The grid it was prepared for.
    pub fn grid(&self) -> Grid {
        self.grid
    }
}

impl FluxTransformer {
    /// Prepares a request.
    ///
    /// # Errors
    /// [`Error::Internal`] when a length does not fit the configuration.
    pub fn condition(&self, inputs: &ConditioningInputs) -> Result<Conditioning> {
        let width = self.config.joint_attention_dim;
        let text_tokens = inputs.context.len() / width;
        let fits = inputs.context.len().is_multiple_of(width)
            && inputs.pooled.len() == self.config.pooled_projection_dim
            && inputs
                .bias
                .as_ref()
                .is_none_or(|bias| bias.for_all.len() == text_tokens && bias.for_others.len() == text_tokens);
        if !fits || inputs.grid.tokens() == 0 || inputs.timesteps.is_empty() {
            return Err(Error::internal("conditioning does not fit the transformer's configuration"));
        }
        let mut vector = self.step_vectors(inputs.timesteps, inputs.guidance, inputs.pooled);
        silu(&mut vector);
        let apply = |layer: &Linear| layer.apply(&vector);
        Ok(Conditioning {
            text: self.text_in.apply(inputs.context),
            text_tokens,
            grid: inputs.grid,
            rotary: rotary_table(text_tokens, inputs.grid, &self.config.axes_dims_rope),
            bias: inputs.bias.as_ref().map(|bias| ExpandedBias::new(bias, inputs.grid.tokens())),
            double: self
                .double_blocks
                .iter()
                .map(|DoubleBlock { image, text }| [apply(&image.modulation), apply(&text.modulation)])
                .collect(),
            single: self.single_blocks.iter().map(|SingleBlock { modulation, .. }| apply(modulation)).collect(),
            last: apply(&self.final_modulation),
            steps: inputs.timesteps.len(),
        })
    }

    /// `time_in(timestep) + guidance_in(guidance) + vector_in(pooled)` for every step: `[steps, hidden]`.
    fn step_vectors(&self, timesteps: &[f32], guidance: f32, pooled: &[f32]) -> Vec<f32> {
        let sinusoids: Vec<f32> = timesteps.iter().flat_map(|timestep| sinusoid(*timestep)).collect();
        let mut vectors = self.time_in.apply(&sinusoids);
        let guidance = self.guidance_in.as_ref().map(|embedder| embedder.apply(&sinusoid(guidance)));
        let pooled = self.vector_in.apply(pooled);
        for vector in vectors.chunks_exact_mut(pooled.len()) {
            if let Some(guidance) = &guidance {
                add(vector, guidance);
            }
            add(vector, &pooled);
        }
        vectors
    }
}

/// Cosines, then sines, of `1000 · value · f` for 128 frequencies f from 1 down to nearly 1/10000.
///
/// The argument is rounded to f32 where diffusers does (it scales to 0..1000, divides and multiplies again), so that
/// both see the same angles: at 1000 one unit in the last place is 6e-5.
fn sinusoid(value: f32) -> [f32; SINUSOID_WIDTH] {
    const HALF: usize = SINUSOID_WIDTH / 2;
    let scaled = value * 1000.0;
    let mut out = [0.0; SINUSOID_WIDTH];
    for index in 0..HALF {
        let exponent = -(10_000.0_f32.ln()) * index as f32 / HALF as f32;
        let argument = f64::from(scaled * exponent.exp());
        out[index] = argument.cos() as f32;
        out[HALF + index] = argument.sin() as f32;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sinusoid_starts_with_cosines() {
        let zero = sinusoid(0.0);
        let ones_then_zeros = |index: usize| if index < 128 { 1.0 } else { 0.0_f32 };
        assert!(zero.iter().enumerate().all(|(index, value)| value.to_bits() == ones_then_zeros(index).to_bits()));
        let one = sinusoid(0.001);
        assert!((one[0] - 1.0_f32.cos()).abs() < 1e-6 && (one[128] - 1.0_f32.sin()).abs() < 1e-6);
    }

    #[test]
    fn redux_tokens_are_exempt_from_their_own_bias() {
        let bias = TokenBias { for_all: vec![6.0, 0.0, 0.0], for_others: vec![0.0, -1.0, -1.0] };
        let expanded = ExpandedBias::new(&bias, 2);
        assert_eq!(expanded.offset, [6.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(expanded.gated, [0.0, -1.0, -1.0, 0.0, 0.0]);
        assert_eq!(expanded.gate, [1.0, 0.0, 0.0, 1.0, 1.0]);
    }
}
