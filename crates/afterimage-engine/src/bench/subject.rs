//! What a benchmark measures.

use super::{BenchOptions, Preset};
use crate::config::{FluxConfig, VaeConfig};
use crate::inspect::wanted;
use crate::models::flux::FluxTransformer;
use crate::models::vae::Autoencoder;
use crate::options::{DtypeChoice, EngineOptions};
use crate::pipeline::{LoraLibrary, ModelFiles, Network, Networks};
use crate::safety::Safety;
use crate::weights::lora::{AppliedLoras, LoraPart, LoraTargets, UsedLora};
use crate::weights::{RandomWeights, Rounded, Rounding, Scope};
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
            return Ok(Self::Random(Box::new(Random::medium(device, &options.engine)?)));
        }
        let files = ModelFiles::open(&options.engine)?;
        Ok(Self::Networks(Box::new(Networks::new(Arc::clone(device), files, Safety::none())?)))
    }

    /// The transformer, built unless it is there.
    pub fn transformer(&self) -> Result<Arc<FluxTransformer<D>>> {
        match self {
            Self::Networks(networks) => networks.transformer(networks.fixed()),
            Self::Random(random) => Ok(Arc::clone(&random.transformer)),
        }
    }

    /// The autoencoder, built unless it is there.
    pub fn autoencoder(&self) -> Result<Arc<Autoencoder<D>>> {
        match self {
            Self::Networks(networks) => networks.autoencoder(),
            Self::Random(random) => Ok(Arc::clone(&random.autoencoder)),
        }
    }

    /// To be called when `network` is needed no more for now: it leaves memory when the budget asks for it.
    pub fn done_with(&self, network: Network) {
        if let Self::Networks(networks) = self {
            networks.done_with(network);
        }
    }

    /// The transformer's configuration.
    pub fn name_and_dtype(&self) -> (String, &'static str) {
        match self {
            Self::Networks(networks) => (networks.files().name(), networks.dtype()),
            Self::Random(random) => ("medium (random weights)".to_owned(), random.dtype),
        }
    }

    pub fn flux(&self) -> &FluxConfig {
        match self {
            Self::Networks(networks) => networks.files().flux(),
            Self::Random(random) => random.transformer.config(),
        }
    }

    /// Pixels that a side has to be a multiple of.
    pub fn size_step(&self) -> usize {
        match self {
            Self::Networks(networks) => networks.files().size_step(),
            Self::Random(random) => 2 * random.autoencoder.config().spatial_factor(),
        }
    }
}

impl<D: Device> Random<D> {
    fn medium(device: &Arc<D>, options: &EngineOptions) -> Result<Self> {
        let (element, dtype) = match options.dtype {
            DtypeChoice::Bf16 => (Element::Bf16, "bf16"),
            DtypeChoice::Int8 => (Element::Bf16, "int8"),
            DtypeChoice::Fp8 => (Element::Bf16, "fp8"),
            DtypeChoice::F32 => (Element::F32, "f32"),
            DtypeChoice::Auto => (Element::F32, device.arithmetic()),
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
        let loras = LoraLibrary::open(options, &|part| match part {
            LoraPart::Transformer => Ok(Arc::new(LoraTargets::new(part, &wanted::flux(&config).0))),
            LoraPart::Clip | LoraPart::T5 => Ok(Arc::default()),
        })?;
        // As if a request had named them: beside the weights.
        let used: Vec<UsedLora> = loras.fixed().used(&[LoraPart::Transformer]);
        let used: Vec<UsedLora> = used.into_iter().map(|used| UsedLora { is_merged: false, ..used }).collect();
        let rounded = |to| {
            let source = Arc::new(RandomWeights::new(element));
            Scope::new(Arc::new(Rounded { source, to })).at("transformer")
        };
        let transformer = match options.dtype {
            DtypeChoice::Int8 if device.wants_rows_of_integers() => rounded(Rounding::RowsOfInt8),
            DtypeChoice::Int8 => rounded(Rounding::Int8),
            DtypeChoice::Fp8 => rounded(Rounding::Fp8),
            DtypeChoice::Auto | DtypeChoice::F32 | DtypeChoice::Bf16 => scope.at("transformer"),
        };
        let plain = FluxTransformer::load(device, &transformer, config)?;
        Ok(Self {
            transformer: Arc::new(plain.with_loras(AppliedLoras::new(&used, LoraPart::Transformer))?),
            autoencoder: Arc::new(Autoencoder::load(device, &scope.at("vae"), VaeConfig::flux(), true)?),
            context_tokens: TEXT_TOKENS + IMAGE_TOKENS,
            dtype,
        })
    }
}
