//! SigLIP's vision tower (Zhai et al., 2023): what Redux sees of a picture. transformers' `SiglipVisionTransformer`,
//! `src/transformers/models/siglip/modeling_siglip.py`.

use super::ConfiguredActivation;
use super::encoder::{EncoderShape, TransformerEncoder};
use super::patches::{PatchEmbedding, PatchShape};
use crate::config::check::ConfigCheck;
use crate::layers::LayerNorm;
use crate::weights::{Bundle, Depth, Scope};
use afterimage_core::Result;
use afterimage_device::{Device, Precision, View};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// `image_encoder/config.json`; absent fields have transformers' defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SiglipConfig {
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
    /// Pixels of a patch's side; what is left over at the right and bottom is ignored.
    pub patch_size: usize,
    /// Activation of the feed-forward layers.
    pub hidden_act: ConfiguredActivation,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
}

impl Default for SiglipConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 16,
            hidden_act: ConfiguredActivation::GeluTanh,
            layer_norm_eps: 1e-6,
        }
    }
}

/// The file of a whole SigLIP has its vision tower's fields one level deeper.
#[derive(Deserialize)]
struct WholeSiglip {
    vision_config: Option<SiglipConfig>,
}

impl SiglipConfig {
    /// Reads and checks `config.json` of the folder `folder`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle) -> Result<Self> {
        let config = match folder.json::<WholeSiglip>("config.json")?.vision_config {
            Some(config) => config,
            None => folder.json("config.json")?,
        };
        config.validate(&folder.path("config.json"))?;
        Ok(config)
    }

    /// The layers that it counts.
    pub fn depths(&self) -> [Depth; 1] {
        [Depth {
            field: "num_hidden_layers",
            used: self.num_hidden_layers,
            is_switch: false,
            patterns: &["encoder.layers.#"],
        }]
    }

    /// Checks every field; `path` is the file that messages name.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] for the first field that cannot be used.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let check = ConfigCheck::new(path);
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        check.encoder(hidden, inner, self.num_hidden_layers, self.num_attention_heads)?;
        check.patches(self.num_channels, self.image_size, self.patch_size)?;
        check.positive("layer_norm_eps", self.layer_norm_eps)
    }

    /// Patches along one side.
    pub fn grid_side(&self) -> usize {
        self.image_size / self.patch_size
    }
}

/// The vision tower without its pooling head.
pub struct SiglipVisionModel<D: Device> {
    device: Arc<D>,
    config: SiglipConfig,
    embedding: PatchEmbedding<D>,
    encoder: TransformerEncoder<D>,
    post_norm: LayerNorm<D>,
}

impl<D: Device> SiglipVisionModel<D> {
    /// Takes the tensors from `scope`, whose names are transformers' without `vision_model.`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Tensor`] for one that is missing or has another shape than `config` says, and those of the device.
    pub fn load(device: &Arc<D>, scope: &Scope, config: SiglipConfig) -> Result<Self> {
        let SiglipConfig { hidden_size: hidden, patch_size: patch, image_size: image, num_channels: channels, .. } =
            config;
        let epsilon = config.layer_norm_eps as f32;
        let patches = PatchShape { hidden, channels, image, patch };
        let shape = EncoderShape {
            hidden,
            intermediate: config.intermediate_size,
            heads: config.num_attention_heads,
            layers: config.num_hidden_layers,
            epsilon,
            activation: config.hidden_act,
        };
        Ok(Self {
            device: Arc::clone(device),
            embedding: PatchEmbedding::load(device.as_ref(), &scope.at("embeddings"), patches, true, false)?,
            encoder: TransformerEncoder::load(device.as_ref(), &scope.at("encoder"), shape)?,
            post_norm: LayerNorm::load(device.as_ref(), &scope.at("post_layernorm"), hidden, epsilon)?,
            config,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &SiglipConfig {
        &self.config
    }

    /// The tokens `[grid_side², hidden_size]`, rows of patches from top to bottom, after the last norm. `pixels` are
    /// normalised planes `[3, image_size, image_size]`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Internal`] when `pixels` has another length, and those of the device.
    pub fn encode(&self, pixels: &[f32]) -> Result<Vec<f32>> {
        let (device, tokens, hidden) = (self.device.as_ref(), self.embedding.tokens(), self.config.hidden_size);
        let mut x = self.embedding.embed(device, pixels)?;
        self.encoder.forward(device, &mut x, tokens, None, &|| Ok(()))?;
        let normal = self.post_norm.apply(device, View::new(&x, tokens, hidden), Precision::Exact)?;
        let mut encoded = vec![0.0; tokens * hidden];
        device.read(View::new(&normal, tokens, hidden), &mut encoded)?;
        Ok(encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_settings_are_named() {
        for (json, expected) in [
            (r#"{"image_size": 99999999}"#, "x: image_size: 99999999 is out of range; expected 1 to 4096"),
            (r#"{"patch_size": 0}"#, "patch_size: 0 is out of range"),
            (r#"{"patch_size": 225}"#, "patch_size: 225 is out of range; expected 1 to 224"),
            (r#"{"num_channels": 4}"#, "num_channels: 4 is not supported; expected 3"),
            (r#"{"num_attention_heads": 5}"#, "num_attention_heads: 5 does not divide hidden_size 768"),
        ] {
            let config: SiglipConfig = serde_json::from_str(json).unwrap();
            let message = config.validate(Path::new("x")).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
