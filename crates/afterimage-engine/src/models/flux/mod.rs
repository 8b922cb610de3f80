//! The FLUX.1 transformer (Black Forest Labs, 2024): double-stream blocks, then single-stream blocks, over text tokens
//! followed by image tokens, conditioned through adaptive layer norms.
//!
//! | file | what |
//! |---|---|
//! | `blocks.rs` | weights of one block |
//! | `conditioning.rs` | what is constant over a request: embedded text, modulations of every step, rotary table |
//! | `forward.rs` | one evaluation, fused and in place |
//! | `positions.rs` | token positions and their angles |

mod blocks;
mod conditioning;
mod forward;
mod positions;

pub use conditioning::{Conditioning, ConditioningInputs, TokenBias};
pub use forward::Workspace;
pub use positions::Grid;

use crate::config::FluxConfig;
use crate::layers::Linear;
use crate::weights::Scope;
use afterimage_core::Result;
use blocks::{DoubleBlock, SingleBlock};

/// Layer norms and the query and key norms of every FLUX model.
const NORM_EPSILON: f32 = 1e-6;
/// Width of the sinusoidal embedding of timestep and guidance.
const SINUSOID_WIDTH: usize = 256;

/// A FLUX.1 transformer, dev (with guidance embedding) or schnell.
pub struct FluxTransformer {
    config: FluxConfig,
    image_in: Linear,
    text_in: Linear,
    time_in: Embedder,
    guidance_in: Option<Embedder>,
    vector_in: Embedder,
    double_blocks: Vec<DoubleBlock>,
    single_blocks: Vec<SingleBlock>,
    final_modulation: Linear,
    final_linear: Linear,
}

/// Linear layer, `SiLU`, linear layer.
struct Embedder {
    inner: Linear,
    outer: Linear,
}

impl Embedder {
    fn load(scope: &Scope, name: &str, inputs: usize, hidden: usize) -> Result<Self> {
        let scope = scope.at(name);
        Ok(Self {
            inner: Linear::load(&scope, "in_layer", inputs, hidden)?,
            outer: Linear::load(&scope, "out_layer", hidden, hidden)?,
        })
    }

    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut inner = self.inner.apply(x);
        crate::layers::silu(&mut inner);
        self.outer.apply(&inner)
    }
}

impl FluxTransformer {
    /// Reads the weights under their canonical (BFL) names.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Tensor`] for the first tensor that is missing or does not fit `config`.
    pub fn load(scope: &Scope, config: &FluxConfig) -> Result<Self> {
        let hidden = config.hidden();
        let guidance_in = if config.guidance_embeds {
            Some(Embedder::load(scope, "guidance_in", SINUSOID_WIDTH, hidden)?)
        } else {
            None
        };
        Ok(Self {
            image_in: Linear::load(scope, "img_in", config.in_channels, hidden)?,
            text_in: Linear::load(scope, "txt_in", config.joint_attention_dim, hidden)?,
            time_in: Embedder::load(scope, "time_in", SINUSOID_WIDTH, hidden)?,
            guidance_in,
            vector_in: Embedder::load(scope, "vector_in", config.pooled_projection_dim, hidden)?,
            double_blocks: (0..config.num_layers)
                .map(|index| DoubleBlock::load(&scope.at("double_blocks").at(index), config))
                .collect::<Result<_>>()?,
            single_blocks: (0..config.num_single_layers)
                .map(|index| SingleBlock::load(&scope.at("single_blocks").at(index), config))
                .collect::<Result<_>>()?,
            final_modulation: Linear::load(scope, "final_layer.adaLN_modulation.1", hidden, 2 * hidden)?,
            final_linear: Linear::load(scope, "final_layer.linear", hidden, config.out_channels())?,
            config: config.clone(),
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &FluxConfig {
        &self.config
    }
}
