//! CLIP's text encoder (Radford et al., 2021), of which FLUX uses one pooled vector: transformers' `CLIPTextModel`,
//! `src/transformers/models/clip/modeling_clip.py`.

use super::encoder::{EncoderShape, TransformerEncoder};
use super::{ConfiguredActivation, embed};
use crate::config::check::{ConfigCheck, read_checked};
use crate::layers::LayerNorm;
use crate::weights::lora::AppliedLoras;
use crate::weights::{Bundle, Depth, Scope};
use afterimage_core::{Error, Result};
use afterimage_device::{Combine, Device, Precision, View, ViewMut};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The end token that old configurations name by mistake; transformers then takes the largest id for the end.
pub(crate) const LEGACY_END: u32 = 2;

/// `text_encoder/config.json`; absent fields have transformers' defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClipTextConfig {
    /// Width.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads; they divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Ids the model takes; the tokenizer pads to it.
    pub max_position_embeddings: usize,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
    /// Activation of the feed-forward layers.
    pub hidden_act: ConfiguredActivation,
    /// The id whose first position is pooled; 2 means the position of the largest id.
    pub eos_token_id: u32,
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// The file, for messages.
    #[serde(skip)]
    path: PathBuf,
}

impl Default for ClipTextConfig {
    fn default() -> Self {
        Self {
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            layer_norm_eps: 1e-5,
            hidden_act: ConfiguredActivation::QuickGelu,
            eos_token_id: 49_407,
            vocab_size: 49_408,
            path: PathBuf::from("config.json"),
        }
    }
}

impl ClipTextConfig {
    /// Reads and checks `config.json` of the folder `folder`.
    ///
    /// # Errors
    /// [`Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle) -> Result<Self> {
        let config = read_checked(folder, "config.json", Self::validate)?;
        Ok(Self { path: folder.path("config.json"), ..config })
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
    /// [`Error::ModelFile`] for the first field that cannot be used.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let check = ConfigCheck::new(path);
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        check.encoder(hidden, inner, self.num_hidden_layers, self.num_attention_heads)?;
        // Three positions are the least for a begin token, a word and an end token.
        check.range("max_position_embeddings", self.max_position_embeddings, &(3..=4096))?;
        check.range("vocab_size", self.vocab_size, &(1..=16_777_216))?;
        check.positive("layer_norm_eps", self.layer_norm_eps)
    }
}

/// The text encoder.
pub struct ClipTextModel<D: Device> {
    device: Arc<D>,
    config: ClipTextConfig,
    tokens: Arc<D::Weight>,
    positions: Arc<D::Weight>,
    encoder: TransformerEncoder<D>,
    final_norm: Arc<LayerNorm<D>>,
}

impl<D: Device> ClipTextModel<D> {
    /// Takes the tensors from `scope`, whose names are transformers' without `text_model.`.
    ///
    /// # Errors
    /// [`Error::Tensor`] for one that is missing or has another shape than `config` says, and those of the device.
    pub fn load(device: &Arc<D>, scope: &Scope, config: ClipTextConfig) -> Result<Self> {
        let hidden = config.hidden_size;
        let epsilon = config.layer_norm_eps as f32;
        let embeddings = scope.at("embeddings");
        let shape = EncoderShape {
            hidden,
            intermediate: config.intermediate_size,
            heads: config.num_attention_heads,
            layers: config.num_hidden_layers,
            epsilon,
            activation: config.hidden_act,
        };
        let table = |name, rows| device.weight(&embeddings.matrix(name, rows, hidden)?).map(Arc::new);
        Ok(Self {
            device: Arc::clone(device),
            tokens: table("token_embedding.weight", config.vocab_size)?,
            positions: table("position_embedding.weight", config.max_position_embeddings)?,
            encoder: TransformerEncoder::load(device.as_ref(), &scope.at("encoder"), shape)?,
            final_norm: Arc::new(LayerNorm::load(device.as_ref(), &scope.at("final_layer_norm"), hidden, epsilon)?),
            config,
        })
    }

    /// The encoder with what `loras` add to it, on the same weights.
    ///
    /// # Errors
    /// Those of the device.
    pub fn with_loras(&self, loras: AppliedLoras) -> Result<Self> {
        Ok(Self {
            device: Arc::clone(&self.device),
            config: self.config.clone(),
            tokens: Arc::clone(&self.tokens),
            positions: Arc::clone(&self.positions),
            encoder: self.encoder.with_loras(self.device.as_ref(), loras)?,
            final_norm: Arc::clone(&self.final_norm),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    /// The pooled vector `[hidden_size]` of at most `max_position_embeddings` ids: the final norm's output at the first
    /// end token.
    ///
    /// # Errors
    /// [`Error::ModelFile`] for an id beyond the table of embeddings, and those of the device.
    pub fn pooled(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let length = ids.len();
        if length == 0 || length > self.config.max_position_embeddings {
            return Err(Error::internal(format!(
                "{length} ids for a text encoder of {} positions",
                self.config.max_position_embeddings
            )));
        }
        let end = pooled_position(ids, self.config.eos_token_id);
        // The mask is causal, so nothing behind the pooled position reaches it.
        let ids = &ids[..=end];
        let (device, tokens, hidden) = (self.device.as_ref(), ids.len(), self.config.hidden_size);
        let mut x = embed(device, self.tokens.as_ref(), ids, &self.config.path)?;
        let places: Vec<u32> = (0..tokens as u32).collect();
        let positions = embed(device, self.positions.as_ref(), &places, &self.config.path)?;
        let positions = View::new(&positions, tokens, hidden);
        device.combine(Combine::Add { factor: 1.0 }, positions, ViewMut::new(&mut x, tokens, hidden))?;
        let mask = device.upload(causal_mask(tokens))?;
        self.encoder.forward(device, &mut x, tokens, Some(&mask), &|| Ok(()))?;
        let last = self.final_norm.apply(device, View::vector(&x, end * hidden, hidden), Precision::Exact)?;
        let mut pooled = vec![0.0; hidden];
        device.read(View::vector(&last, 0, hidden), &mut pooled)?;
        Ok(pooled)
    }
}

/// Where transformers pools: at the first largest id for the configurations whose end token is wrong, else at the first
/// end token; 0 when there is none. Padding may use the end token as well, so "first" matters.
fn pooled_position(ids: &[u32], end_token: u32) -> usize {
    let first = |token: u32| ids.iter().position(|id| *id == token).unwrap_or(0);
    if end_token == LEGACY_END { ids.iter().max().map_or(0, |largest| first(*largest)) } else { first(end_token) }
}

/// `[keys, queries]`: 0 where a query may look, −∞ at keys behind it.
fn causal_mask(length: usize) -> Vec<f32> {
    (0..length * length).map(|pair| if pair / length > pair % length { f32::NEG_INFINITY } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_follows_transformers() {
        assert_eq!(pooled_position(&[7, 3, 9, 9, 9], 2), 2, "first of the largest");
        assert_eq!(pooled_position(&[7, 3, 9, 9, 9], 9), 2);
        assert_eq!(pooled_position(&[7, 5, 9, 5], 5), 1, "not the largest");
        assert_eq!(pooled_position(&[7, 3], 5), 0, "no end token");
    }

    #[test]
    fn the_mask_hides_later_keys() {
        let hidden = f32::NEG_INFINITY;
        assert_eq!(causal_mask(3), [0.0, 0.0, 0.0, hidden, 0.0, 0.0, hidden, hidden, 0.0]);
    }

    #[test]
    fn unusable_settings_are_named() {
        for (json, expected) in [
            (r#"{"hidden_size": 0}"#, "x: hidden_size: 0 is out of range; expected 1 to 65536"),
            (r#"{"num_attention_heads": 7}"#, "x: num_attention_heads: 7 does not divide hidden_size 512"),
            (r#"{"num_attention_heads": 0}"#, "num_attention_heads: 0 is out of range"),
            (r#"{"max_position_embeddings": 4000000000}"#, "max_position_embeddings: 4000000000 is out of range"),
            (r#"{"vocab_size": 0}"#, "vocab_size: 0"),
            (r#"{"layer_norm_eps": -1}"#, "layer_norm_eps: -1 is out of range"),
        ] {
            let config: ClipTextConfig = serde_json::from_str(json).unwrap();
            let message = config.validate(Path::new("x")).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(serde_json::from_str::<ClipTextConfig>(r#"{"hidden_act": "relu"}"#).is_err());
    }
}
