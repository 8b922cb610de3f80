//! The FLUX.1 transformer (Black Forest Labs, 2024): double-stream blocks, then single-stream blocks, over text tokens
//! followed by image tokens, conditioned through adaptive layer norms. diffusers' `FluxTransformer2DModel`,
//! `src/diffusers/models/transformers/transformer_flux.py`.
//!
//! | file | what |
//! |---|---|
//! | `blocks.rs` | weights of one block |
//! | `conditioning.rs` | what is constant over a request: embedded text, modulations of every step, rotary table |
//! | `forward.rs` | one evaluation, fused and in place |
//! | `step_cache.rs` | steps that reuse what an earlier one computed |
//! | `positions.rs` | token positions and their angles |

mod blocks;
mod conditioning;
mod forward;
mod positions;
mod step_cache;
#[cfg(test)]
mod streams;

pub use conditioning::{Conditioning, ConditioningInputs, TokenBias};
pub use forward::Workspace;
pub use positions::Grid;
pub use step_cache::{StepCache, StepCaches};

use crate::config::FluxConfig;
use crate::layers::Linear;
use crate::weights::Scope;
use crate::weights::lora::AppliedLoras;
use afterimage_core::Result;
use afterimage_device::{Activation, Device, Finish, Precision, View, ViewMut};
use blocks::{DoubleBlock, SingleBlock};
use rayon::prelude::*;
use std::sync::Arc;

/// Whether the tensor of this canonical name is multiplied with once a request, before its steps, with what is the same at
/// every step: the layers that make modulations.
pub fn is_used_once(name: &str) -> bool {
    ["_mod.lin.", ".modulation.lin.", "adaLN_modulation."].iter().any(|part| name.contains(part))
}

/// Layer norms and the query and key norms of every FLUX model.
const NORM_EPSILON: f32 = 1e-6;
/// Width of the sinusoidal embedding of timestep and guidance.
const SINUSOID_WIDTH: usize = 256;

/// A FLUX.1 transformer, dev (with guidance embedding) or schnell.
pub struct FluxTransformer<D: Device> {
    device: Arc<D>,
    config: FluxConfig,
    /// What stands in front of its layers' canonical names.
    prefix: String,
    image_in: Linear<D>,
    text_in: Linear<D>,
    time_in: Embedder<D>,
    guidance_in: Option<Embedder<D>>,
    vector_in: Embedder<D>,
    double_blocks: Vec<DoubleBlock<D>>,
    single_blocks: Vec<SingleBlock<D>>,
    final_modulation: Linear<D>,
    final_linear: Linear<D>,
}

/// Linear layer, `SiLU`, linear layer (diffusers' `TimestepEmbedding` and `PixArtAlphaTextProjection`).
struct Embedder<D: Device> {
    inner: Linear<D>,
    outer: Linear<D>,
    inputs: usize,
    hidden: usize,
}

impl<D: Device> Embedder<D> {
    fn load(device: &D, scope: &Scope, inputs: usize, hidden: usize) -> Result<Self> {
        Ok(Self {
            inner: Linear::load(device, &scope.at("in_layer"), inputs, hidden)?,
            outer: Linear::load(device, &scope.at("out_layer"), hidden, hidden)?,
            inputs,
            hidden,
        })
    }

    fn with_loras(&self, device: &D, loras: AppliedLoras) -> Result<Self> {
        let Self { inner, outer, inputs, hidden } = self;
        let [inner, outer] = [inner, outer].map(|layer| layer.with_loras(device, loras));
        Ok(Self { inner: inner?, outer: outer?, inputs: *inputs, hidden: *hidden })
    }

    /// `[rows, inputs]` to `[rows, hidden]`.
    fn apply(&self, device: &D, values: Vec<f32>) -> Result<D::Buffer> {
        let rows = values.len() / self.inputs;
        let x = device.upload(values)?;
        let x = View::new(&x, rows, self.inputs);
        let mut inner = self.inner.apply(device, x, Finish::Store, Precision::Exact)?;
        device.activate(Activation::Silu, ViewMut::new(&mut inner, rows, self.hidden))?;
        self.outer.apply(device, View::new(&inner, rows, self.hidden), Finish::Store, Precision::Exact)
    }
}

impl<D: Device> FluxTransformer<D> {
    /// Reads the weights under their canonical (BFL) names.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Tensor`] for the first tensor that is missing or does not fit `config`, and those of the
    /// device.
    pub fn load(device: &Arc<D>, scope: &Scope, config: FluxConfig) -> Result<Self> {
        let on: &D = device.as_ref();
        let hidden = config.hidden();
        let linear = |name: &str, inputs, outputs| Linear::load(on, &scope.at(name), inputs, outputs);
        let embedder = |name: &str, inputs| Embedder::load(on, &scope.at(name), inputs, hidden);
        let guidance_in = if config.guidance_embeds { Some(embedder("guidance_in", SINUSOID_WIDTH)?) } else { None };
        Ok(Self {
            device: Arc::clone(device),
            image_in: linear("img_in", config.in_channels, hidden)?,
            text_in: linear("txt_in", config.joint_attention_dim, hidden)?,
            time_in: embedder("time_in", SINUSOID_WIDTH)?,
            guidance_in,
            vector_in: embedder("vector_in", config.pooled_projection_dim)?,
            double_blocks: (0..config.num_layers)
                .map(|index| DoubleBlock::load(on, &scope.at("double_blocks").at(index), &config))
                .collect::<Result<_>>()?,
            single_blocks: (0..config.num_single_layers)
                .map(|index| SingleBlock::load(on, &scope.at("single_blocks").at(index), &config))
                .collect::<Result<_>>()?,
            final_modulation: linear("final_layer.adaLN_modulation.1", hidden, 2 * hidden)?,
            final_linear: linear("final_layer.linear", hidden, config.out_channels())?,
            config,
            prefix: scope.full_name(""),
        })
    }

    /// The transformer with what `loras` add to it, on the same weights: this one stays as it is.
    ///
    /// # Errors
    /// Those of the device.
    pub fn with_loras(&self, loras: AppliedLoras) -> Result<Self> {
        let (device, loras) = (self.device.as_ref(), loras.behind(&self.prefix));
        let linear = |layer: &Linear<D>| layer.with_loras(device, loras);
        let embedder = |embedder: &Embedder<D>| embedder.with_loras(device, loras);
        Ok(Self {
            device: Arc::clone(&self.device),
            config: self.config.clone(),
            prefix: self.prefix.clone(),
            image_in: linear(&self.image_in)?,
            text_in: linear(&self.text_in)?,
            time_in: embedder(&self.time_in)?,
            guidance_in: self.guidance_in.as_ref().map(embedder).transpose()?,
            vector_in: embedder(&self.vector_in)?,
            double_blocks: self
                .double_blocks
                .par_iter()
                .map(|block| block.with_loras(device, loras))
                .collect::<Result<_>>()?,
            single_blocks: self
                .single_blocks
                .par_iter()
                .map(|block| block.with_loras(device, loras))
                .collect::<Result<_>>()?,
            final_modulation: linear(&self.final_modulation)?,
            final_linear: linear(&self.final_linear)?,
        })
    }

    /// The layer of a block that does most of its work: into the MLP.
    pub fn widest_layer(&self) -> Option<&Linear<D>> {
        let single = self.single_blocks.first().map(|block| &block.mlp_in);
        single.or_else(|| self.double_blocks.first().map(|block| &block.image.mlp_in))
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &FluxConfig {
        &self.config
    }
}
