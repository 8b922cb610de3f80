//! Vision transformers with a class token (Dosovitskiy et al., 2020; Radford et al., 2021): transformers' `ViTModel`
//! (`src/transformers/models/vit/modeling_vit.py`) and `CLIPVisionTransformer` (`…/clip/modeling_clip.py`).

use super::ConfiguredActivation;
use super::encoder::{EncoderShape, TransformerEncoder};
use super::patches::{PatchEmbedding, PatchShape};
use crate::config::check::ConfigCheck;
use crate::layers::LayerNorm;
use crate::weights::{Depth, Scope};
use afterimage_core::Result;
use afterimage_device::{Device, Precision, View};
use serde::Deserialize;
use std::sync::Arc;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisionKind {
    /// Patches have a bias.
    Vit,
    /// Patches have none, and their tokens are normalised before the first layer.
    Clip,
}

/// Sizes of a vision transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct VisionConfig {
    /// Which it is.
    pub kind: VisionKind,
    /// Width of the tokens.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads; they divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Colour channels: 3.
    pub num_channels: usize,
    /// Pixels of the square picture's side.
    pub image_size: usize,
    /// Pixels of a patch's side.
    pub patch_size: usize,
    /// Activation of the feed-forward layers.
    pub hidden_act: ConfiguredActivation,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
}

/// What a `config.json` says of them; what it does not say has the default of transformers' class.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatedVision {
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_channels: Option<usize>,
    image_size: Option<usize>,
    patch_size: Option<usize>,
    hidden_act: Option<ConfiguredActivation>,
    layer_norm_eps: Option<f64>,
    qkv_bias: Option<bool>,
}

impl VisionConfig {
    /// `stated` with the defaults of `kind`'s configuration, checked.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] for the first field that cannot be used.
    pub(crate) fn new(kind: VisionKind, stated: &StatedVision, check: &ConfigCheck) -> Result<Self> {
        let (patch_size, hidden_act, layer_norm_eps) = match kind {
            VisionKind::Vit => (16, ConfiguredActivation::Gelu, 1e-12),
            VisionKind::Clip => (32, ConfiguredActivation::QuickGelu, 1e-5),
        };
        let config = Self {
            kind,
            hidden_size: stated.hidden_size.unwrap_or(768),
            intermediate_size: stated.intermediate_size.unwrap_or(3072),
            num_hidden_layers: stated.num_hidden_layers.unwrap_or(12),
            num_attention_heads: stated.num_attention_heads.unwrap_or(12),
            num_channels: stated.num_channels.unwrap_or(3),
            image_size: stated.image_size.unwrap_or(224),
            patch_size: stated.patch_size.unwrap_or(patch_size),
            hidden_act: stated.hidden_act.unwrap_or(hidden_act),
            layer_norm_eps: stated.layer_norm_eps.unwrap_or(layer_norm_eps),
        };
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        check.encoder(hidden, inner, config.num_hidden_layers, config.num_attention_heads)?;
        check.patches(config.num_channels, config.image_size, config.patch_size)?;
        check.positive("layer_norm_eps", config.layer_norm_eps)?;
        check.on("qkv_bias", stated.qkv_bias.unwrap_or(true))?;
        Ok(config)
    }

    /// The layers that it counts.
    pub fn depths(&self) -> [Depth; 1] {
        [Depth {
            field: "num_hidden_layers",
            used: self.num_hidden_layers,
            is_switch: false,
            patterns: &[
                "vit.encoder.layer.#",
                "vision_model.encoder.layers.#",
                "vision_model.vision_model.encoder.layers.#",
            ],
        }]
    }
}

/// A vision transformer as far as its class token.
pub struct VisionTransformer<D: Device> {
    device: Arc<D>,
    hidden: usize,
    embedding: PatchEmbedding<D>,
    pre_norm: Option<LayerNorm<D>>,
    encoder: TransformerEncoder<D>,
    post_norm: LayerNorm<D>,
}

impl<D: Device> VisionTransformer<D> {
    /// Takes the tensors from `scope`, whose names are those of CLIP's vision tower without `vision_model.`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Tensor`] for one that is missing or has another shape than `config` says, and those of
    /// the device.
    pub fn load(device: &Arc<D>, scope: &Scope, config: &VisionConfig) -> Result<Self> {
        let (hidden, epsilon) = (config.hidden_size, config.layer_norm_eps as f32);
        let patches =
            PatchShape { hidden, channels: config.num_channels, image: config.image_size, patch: config.patch_size };
        let shape = EncoderShape {
            hidden,
            intermediate: config.intermediate_size,
            heads: config.num_attention_heads,
            layers: config.num_hidden_layers,
            epsilon,
            activation: config.hidden_act,
        };
        let is_clip = config.kind == VisionKind::Clip;
        let norm = |name: &str| LayerNorm::load(device.as_ref(), &scope.at(name), hidden, epsilon);
        Ok(Self {
            device: Arc::clone(device),
            hidden,
            embedding: PatchEmbedding::load(device.as_ref(), &scope.at("embeddings"), patches, !is_clip, true)?,
            // Spelt so in every file.
            pre_norm: is_clip.then(|| norm("pre_layrnorm")).transpose()?,
            encoder: TransformerEncoder::load(device.as_ref(), &scope.at("encoder"), shape)?,
            post_norm: norm("post_layernorm")?,
        })
    }

    /// The class token `[hidden_size]` after the last norm. `pixels` are normalised planes `[3, image_size, image_size]`;
    /// `interrupted` answers between layers whether to stop.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Internal`] when `pixels` has another length, what `interrupted` answers, and those of
    /// the device.
    pub fn class_token(&self, pixels: &[f32], interrupted: &dyn Fn() -> Result<()>) -> Result<D::Buffer> {
        let (device, tokens, hidden) = (self.device.as_ref(), self.embedding.tokens(), self.hidden);
        let mut x = self.embedding.embed(device, pixels)?;
        if let Some(norm) = &self.pre_norm {
            x = norm.apply(device, View::new(&x, tokens, hidden), Precision::Exact)?;
        }
        self.encoder.forward(device, &mut x, tokens, None, interrupted)?;
        self.post_norm.apply(device, View::vector(&x, 0, hidden), Precision::Exact)
    }
}
