//! Everything a request fixes before its first step.

use super::blocks::{DoubleBlock, SingleBlock};
use super::positions::{Grid, rotary_angles};
use super::{FluxTransformer, SINUSOID_WIDTH};
use crate::layers::Linear;
use afterimage_core::{Error, Result};
use afterimage_device::{Activation, Combine, Device, Finish, Precision, View, ViewMut};
use std::ops::Range;

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
    /// Added for every query: ln n for a token that stands for n equal ones, ln of its weight for one that counts less.
    /// One number a context token.
    pub for_all: Vec<f32>,
    /// The Redux tokens among the context tokens.
    pub redux: Range<usize>,
    /// Added on Redux tokens for queries that are none: ln strength. One number a step.
    pub for_others: Vec<f32>,
}

/// The request's constants: text after `txt_in`, the modulation of every block at every step, the rotary table.
///
/// Modulations depend on step, guidance and pooled vector only, so all steps are computed in one matrix product a
/// block; a step then reads its row. (They hold 27 % of FLUX's parameters.)
pub struct Conditioning<D: Device> {
    /// `[text_tokens, hidden]`
    pub(super) text: D::Buffer,
    pub(super) text_tokens: usize,
    pub(super) grid: Grid,
    pub(super) rotary: D::Rotary,
    pub(super) bias: Option<DeviceBias<D>>,
    /// Per double block: image and text `[steps, 6 × hidden]`.
    pub(super) double: Vec<[D::Buffer; 2]>,
    /// Per single block `[steps, 3 × hidden]`.
    pub(super) single: Vec<D::Buffer>,
    /// `[steps, 2 × hidden]`: shift, scale.
    pub(super) last: D::Buffer,
    pub(super) steps: usize,
}

/// A [`TokenBias`] over all tokens, on the device.
pub(super) struct DeviceBias<D: Device> {
    /// A number a token.
    pub offset: D::Buffer,
    /// A number a token, for each strength that any step has.
    pub gated: Vec<D::Buffer>,
    /// Which of these is each step's.
    pub gated_of_step: Vec<usize>,
    /// A number a token.
    pub gate: D::Buffer,
}

impl<D: Device> DeviceBias<D> {
    /// What Redux tokens have in `step` for queries that are none.
    pub fn gated(&self, step: usize) -> Option<&D::Buffer> {
        self.gated.get(*self.gated_of_step.get(step)?)
    }
}

/// A [`TokenBias`] over all tokens; the fields are those of [`DeviceBias`].
struct ExpandedBias {
    offset: Vec<f32>,
    gated: Vec<Vec<f32>>,
    gated_of_step: Vec<usize>,
    gate: Vec<f32>,
}

impl ExpandedBias {
    fn new(bias: &TokenBias, image_tokens: usize) -> Self {
        let tokens = bias.for_all.len() + image_tokens;
        let (mut strengths, mut gated_of_step) = (Vec::<f32>::new(), Vec::new());
        for strength in &bias.for_others {
            let known = strengths.iter().position(|known| known.to_bits() == strength.to_bits());
            gated_of_step.push(known.unwrap_or(strengths.len()));
            if known.is_none() {
                strengths.push(*strength);
            }
        }
        let on_redux = |inside: f32, outside: f32| {
            (0..tokens).map(|token| if bias.redux.contains(&token) { inside } else { outside }).collect::<Vec<_>>()
        };
        let mut offset = bias.for_all.clone();
        offset.resize(tokens, 0.0);
        let gated = strengths.into_iter().map(|strength| on_redux(strength, 0.0)).collect();
        Self { offset, gated, gated_of_step, gate: on_redux(0.0, 1.0) }
    }

    fn upload<D: Device>(self, device: &D) -> Result<DeviceBias<D>> {
        let Self { offset, gated, gated_of_step, gate } = self;
        let gated = gated.into_iter().map(|values| device.upload(values)).collect::<Result<_>>()?;
        Ok(DeviceBias { offset: device.upload(offset)?, gated, gated_of_step, gate: device.upload(gate)? })
    }
}

impl<D: Device> Conditioning<D> {
    /// Steps it was prepared for.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Whether attention in `step` differs from the step before it in more than what its tokens are.
    pub(super) fn changes_bias_at(&self, step: usize) -> bool {
        self.bias
            .as_ref()
            .is_some_and(|bias| step > 0 && bias.gated_of_step.get(step) != bias.gated_of_step.get(step - 1))
    }

    /// The grid it was prepared for.
    pub fn grid(&self) -> Grid {
        self.grid
    }
}

impl<D: Device> FluxTransformer<D> {
    /// Prepares a request.
    ///
    /// # Errors
    /// [`Error::Internal`] when a length does not fit the configuration, and those of the device.
    pub fn condition(&self, inputs: &ConditioningInputs) -> Result<Conditioning<D>> {
        let width = self.config.joint_attention_dim;
        let text_tokens = inputs.context.len() / width;
        let fits = inputs.context.len().is_multiple_of(width)
            && inputs.pooled.len() == self.config.pooled_projection_dim
            && inputs.bias.as_ref().is_none_or(|bias| {
                bias.for_all.len() == text_tokens
                    && bias.redux.end <= text_tokens
                    && bias.for_others.len() == inputs.timesteps.len()
            });
        if !fits || inputs.grid.tokens() == 0 || inputs.timesteps.is_empty() {
            return Err(Error::internal("conditioning does not fit the transformer's configuration"));
        }
        let device = self.device.as_ref();
        let (steps, hidden) = (inputs.timesteps.len(), self.config.hidden());
        let mut vectors = self.step_vectors(inputs.timesteps, inputs.guidance, inputs.pooled)?;
        device.activate(Activation::Silu, ViewMut::new(&mut vectors, steps, hidden))?;
        let vectors = View::new(&vectors, steps, hidden);
        let modulate = |layer: &Linear<D>| layer.apply(device, vectors, Finish::Store, Precision::Exact);
        let context = device.upload(inputs.context.to_vec())?;
        let context = View::new(&context, text_tokens, width);
        let angles = rotary_angles(text_tokens, inputs.grid, &self.config.axes_dims_rope);
        let bias = inputs.bias.as_ref().map(|bias| ExpandedBias::new(bias, inputs.grid.tokens()).upload(device));
        Ok(Conditioning {
            text: self.text_in.apply(device, context, Finish::Store, Precision::Exact)?,
            text_tokens,
            grid: inputs.grid,
            rotary: device.rotary(&angles, self.config.attention_head_dim)?,
            bias: bias.transpose()?,
            double: self
                .double_blocks
                .iter()
                .map(|DoubleBlock { image, text }| Ok([modulate(&image.modulation)?, modulate(&text.modulation)?]))
                .collect::<Result<_>>()?,
            single: self
                .single_blocks
                .iter()
                .map(|SingleBlock { modulation, .. }| modulate(modulation))
                .collect::<Result<_>>()?,
            last: modulate(&self.final_modulation)?,
            steps,
        })
    }

    /// `time_in(timestep) + guidance_in(guidance) + vector_in(pooled)` for every step: `[steps, hidden]`.
    fn step_vectors(&self, timesteps: &[f32], guidance: f32, pooled: &[f32]) -> Result<D::Buffer> {
        let (device, hidden) = (self.device.as_ref(), self.config.hidden());
        let mut vectors = self.time_in.apply(device, timesteps.iter().flat_map(|step| sinusoid(*step)).collect())?;
        let mut add = |vector: D::Buffer| {
            let out = ViewMut::new(&mut vectors, timesteps.len(), hidden);
            device.combine(Combine::Add { factor: 1.0 }, View::vector(&vector, 0, hidden), out)
        };
        if let Some(embedder) = &self.guidance_in {
            add(embedder.apply(device, sinusoid(guidance).to_vec())?)?;
        }
        add(self.vector_in.apply(device, pooled.to_vec())?)?;
        Ok(vectors)
    }
}

/// Cosines, then sines (`get_timestep_embedding`, `src/diffusers/models/embeddings.py`), of `1000 · value · f` for 128 frequencies f from 1 down to nearly 1/10000.
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
        let bias = TokenBias { for_all: vec![6.0, 0.0, -0.5], redux: 1..3, for_others: vec![-1.0, 0.0, -1.0] };
        let expanded = ExpandedBias::new(&bias, 2);
        assert_eq!(expanded.offset, [6.0, 0.0, -0.5, 0.0, 0.0]);
        assert_eq!(expanded.gated, [[0.0, -1.0, -1.0, 0.0, 0.0], [0.0; 5]]);
        assert_eq!(expanded.gated_of_step, [0, 1, 0]);
        assert_eq!(expanded.gate, [1.0, 0.0, 0.0, 1.0, 1.0]);
    }
}
