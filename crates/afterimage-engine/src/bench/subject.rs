//! What a benchmark measures.

use super::{BenchOptions, Preset};
use crate::config::{FluxConfig, VaeConfig};
use crate::models::flux::FluxTransformer;
use crate::models::vae::Autoencoder;
use crate::options::DtypeChoice;
use crate::pipeline::{ModelFiles, Networks};
use crate::safety::Safety;
use crate::weights::{RandomWeights, Scope};
use afterimage_core::Result;
use afterimage_device::Device;
use afterimage_tensors::Element;
use std::sync::Arc;

/// Text tokens of the medium preset.
const TEXT_TOKENS: usize = 512;
/// Redux tokens of the medium preset.
const IMAGE_TOKENS: usize = 729;

/// Models to measure.
pub(super) enum Subject<D: Device> {
    /// From files or embedded.
    Networks(Box<Networks<D>>),
    /// Made up in memory.
    Random(Box<Random<D>>),
}

/// Networks with random weights.
pub(super) struct Random<D: Device> {
    pub transformer: Arc<FluxTransformer<D>>,
    pub autoencoder: Arc<Autoencoder<D>>,
    pub context_tokens: usize,
    pub dtype: &'static str,
}

impl<D: Device> Subject<D> {
    pub fn open(device: &Arc<D>, options: &BenchOptions) -> Result<Self> {
        if options.preset == Preset::Medium && options.engine.base.is_none() {
            return Ok(Self::Random(Box::new(Random::medium(device, options.engine.dtype)?)));
        }
        Ok(Self::Networks(Box::new(Networks::new(
            Arc::clone(device),
            ModelFiles::open(&options.engine)?,
            Safety::none(),
        ))))
    }
}

impl<D: Device> Random<D> {
    fn medium(device: &Arc<D>, dtype: DtypeChoice) -> Result<Self> {
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
            transformer: Arc::new(FluxTransformer::load(device, &scope.at("transformer"), config)?),
            autoencoder: Arc::new(Autoencoder::load(device, &scope.at("vae"), VaeConfig::flux(), true)?),
            context_tokens: TEXT_TOKENS + IMAGE_TOKENS,
            dtype,
        })
    }
}
