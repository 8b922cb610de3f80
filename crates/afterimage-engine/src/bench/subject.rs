//! What a benchmark measures.

use super::{BenchOptions, Preset};
use crate::config::{FluxConfig, VaeConfig};
use crate::models::flux::FluxTransformer;
use crate::models::vae::Autoencoder;
use crate::options::DtypeChoice;
use crate::pipelines::Models;
use crate::weights::{RandomWeights, Scope};
use afterimage_core::Result;
use afterimage_tensors::Element;
use std::sync::Arc;

/// Text tokens of the medium preset.
const TEXT_TOKENS: usize = 512;
/// Redux tokens of the medium preset.
const IMAGE_TOKENS: usize = 729;

/// Models to measure.
pub(super) enum Subject {
    /// From files or embedded.
    Models(Box<Models>),
    /// Made up in memory.
    Random(Box<Random>),
}

/// Networks with random weights.
pub(super) struct Random {
    pub transformer: FluxTransformer,
    pub autoencoder: Autoencoder,
    pub context_tokens: usize,
    pub dtype: &'static str,
}

impl Subject {
    pub fn open(options: &BenchOptions) -> Result<Self> {
        if options.preset == Preset::Medium && options.engine.base.is_none() {
            // Checks the device as for any other model.
            Models::open(&options.engine)?;
            return Ok(Self::Random(Box::new(Random::medium(options.engine.dtype)?)));
        }
        Ok(Self::Models(Box::new(Models::open(&options.engine)?)))
    }
}

impl Random {
    fn medium(dtype: DtypeChoice) -> Result<Self> {
        let (element, dtype) = match dtype {
            DtypeChoice::Bf16 => (Element::Bf16, "bf16"),
            DtypeChoice::Auto | DtypeChoice::F32 => (Element::F32, "f32"),
        };
        let scope = Scope::new(Arc::new(RandomWeights::new(element)));
        let config = FluxConfig {
            num_layers: 4,
            num_single_layers: 8,
            num_attention_heads: 8,
            attention_head_dim: 128,
            joint_attention_dim: 4096,
            pooled_projection_dim: 768,
            in_channels: 64,
            guidance_embeds: true,
            axes_dims_rope: [16, 56, 56],
            ..FluxConfig::default()
        };
        Ok(Self {
            transformer: FluxTransformer::load(&scope.at("transformer"), &config)?,
            autoencoder: Autoencoder::load(&scope.at("vae"), &VaeConfig::flux(), true)?,
            context_tokens: TEXT_TOKENS + IMAGE_TOKENS,
            dtype,
        })
    }
}
