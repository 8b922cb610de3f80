//! T5's encoder (Raffel et al., 2020; version 1.1 with gated GELU after Shazeer, 2020): transformers' `T5EncoderModel`,
//! `src/transformers/models/t5/modeling_t5.py`.

use super::embed;
use crate::config::check::{ConfigCheck, read_checked};
use crate::layers::{Linear, StoredLinear, vector};
use crate::weights::lora::AppliedLoras;
use crate::weights::{Bundle, Depth, Scope};
use afterimage_core::Result;
use afterimage_device::{Attention, AttentionBias, Combine, Device, Finish, Norm, Precision, View, ViewMut};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `text_encoder_2/config.json`; absent fields have transformers' defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct T5Config {
    /// Width of the token rows.
    pub d_model: usize,
    /// Width of one head; heads × `d_kv` need not be `d_model`.
    pub d_kv: usize,
    /// Width inside the feed-forward layers.
    pub d_ff: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Buckets of distances, for both directions together.
    pub relative_attention_num_buckets: usize,
    /// Distance from which all share the last bucket.
    pub relative_attention_max_distance: usize,
    /// Epsilon of every root-mean-square norm.
    pub layer_norm_epsilon: f64,
    /// Kind of the feed-forward layers; `gated-gelu` is supported (with the tanh approximation, as transformers reads it).
    pub feed_forward_proj: String,
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// The file, for messages.
    #[serde(skip)]
    path: PathBuf,
}

impl Default for T5Config {
    fn default() -> Self {
        Self {
            d_model: 512,
            d_kv: 64,
            d_ff: 2048,
            num_layers: 6,
            num_heads: 8,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: "relu".to_owned(),
            vocab_size: 32_128,
            path: PathBuf::from("config.json"),
        }
    }
}

impl T5Config {
    /// Reads and checks `config.json` of the folder `folder`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle) -> Result<Self> {
        let config = read_checked(folder, "config.json", Self::validate)?;
        Ok(Self { path: folder.path("config.json"), ..config })
    }

    /// The layers that it counts.
    pub fn depths(&self) -> [Depth; 1] {
        let patterns = &["encoder.block.#", "enc.blk.#"];
        [Depth { field: "num_layers", used: self.num_layers, is_switch: false, patterns }]
    }

    /// Checks every field; `path` is the file that messages name.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] for the first field that cannot be used.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let check = ConfigCheck::new(path);
        check.range("d_model", self.d_model, &(1..=65_536))?;
        check.range("d_kv", self.d_kv, &(1..=4096))?;
        check.range("d_ff", self.d_ff, &(1..=262_144))?;
        check.range("num_layers", self.num_layers, &(1..=1024))?;
        check.range("num_heads", self.num_heads, &(1..=1024))?;
        check.range("vocab_size", self.vocab_size, &(1..=16_777_216))?;
        check.positive("layer_norm_epsilon", self.layer_norm_epsilon)?;
        let buckets = self.relative_attention_num_buckets;
        check.range("relative_attention_num_buckets", buckets, &(4..=4096))?;
        if !buckets.is_multiple_of(4) {
            return Err(check.refuse("relative_attention_num_buckets", format!("{buckets} is not a multiple of 4")));
        }
        let distances = buckets / 4 + 1..=1_000_000;
        check.range("relative_attention_max_distance", self.relative_attention_max_distance, &distances)?;
        if self.feed_forward_proj != "gated-gelu" {
            let problem = format!("{} is not supported; expected gated-gelu", self.feed_forward_proj);
            return Err(check.refuse("feed_forward_proj", problem));
        }
        Ok(())
    }

    fn inner(&self) -> usize {
        self.num_heads * self.d_kv
    }
}

/// Root-mean-square norm (`T5LayerNorm`).
struct RmsNorm<D: Device> {
    weight: D::Buffer,
    width: usize,
    epsilon: f32,
}

impl<D: Device> RmsNorm<D> {
    fn load(device: &D, scope: &Scope, config: &T5Config) -> Result<Self> {
        let (width, epsilon) = (config.d_model, config.layer_norm_epsilon as f32);
        Ok(Self { weight: vector(device, scope, "weight", width)?, width, epsilon })
    }

    fn apply(&self, device: &D, x: &D::Buffer, tokens: usize, precision: Precision) -> Result<D::Buffer> {
        let mut out = device.allocate(tokens * self.width, precision)?;
        let norm = Norm::Rms { weight: View::vector(&self.weight, 0, self.width) };
        let x = View::new(x, tokens, self.width);
        device.norm(x, norm, self.epsilon, ViewMut::new(&mut out, tokens, self.width))?;
        Ok(out)
    }
}

/// `T5Block`: `T5LayerSelfAttention`, then `T5LayerFF` with `T5DenseGatedActDense`.
struct T5Block<D: Device> {
    attention_norm: Arc<RmsNorm<D>>,
    /// Queries, keys and values below each other.
    qkv: Linear<D>,
    out: Linear<D>,
    feed_forward_norm: Arc<RmsNorm<D>>,
    gate: Linear<D>,
    up: Linear<D>,
    down: Linear<D>,
}

/// The encoder.
pub struct T5Encoder<D: Device> {
    device: Arc<D>,
    config: T5Config,
    embeddings: Arc<D::Weight>,
    /// `[buckets, heads]`: block 0 has it, all blocks use it.
    distance_bias: Vec<f32>,
    blocks: Vec<T5Block<D>>,
    final_norm: Arc<RmsNorm<D>>,
}

impl<D: Device> T5Encoder<D> {
    /// Takes the tensors from `scope`, whose names are transformers', the embeddings under `shared.weight`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Tensor`] for one that is missing or has another shape than `config` says, and those of
    /// the device.
    pub fn load(device: &Arc<D>, scope: &Scope, config: T5Config) -> Result<Self> {
        let stack = scope.at("encoder");
        let block = |index| T5Block::load(device.as_ref(), &stack.at("block").at(index).at("layer"), &config);
        let first = stack.at("block.0.layer.0.SelfAttention.relative_attention_bias");
        Ok(Self {
            device: Arc::clone(device),
            embeddings: Arc::new(device.weight(&scope.matrix(
                "shared.weight",
                config.vocab_size,
                config.d_model,
            )?)?),
            distance_bias: first.values("weight", &[config.relative_attention_num_buckets, config.num_heads])?,
            blocks: (0..config.num_layers).map(block).collect::<Result<_>>()?,
            final_norm: Arc::new(RmsNorm::load(device.as_ref(), &stack.at("final_layer_norm"), &config)?),
            config,
        })
    }

    /// The encoder with what `loras` add to it, on the same weights.
    ///
    /// # Errors
    /// Those of the device.
    pub fn with_loras(&self, loras: AppliedLoras) -> Result<Self> {
        let blocks = self.blocks.iter().map(|block| block.with_loras(self.device.as_ref(), loras));
        Ok(Self {
            device: Arc::clone(&self.device),
            config: self.config.clone(),
            embeddings: Arc::clone(&self.embeddings),
            distance_bias: self.distance_bias.clone(),
            blocks: blocks.collect::<Result<_>>()?,
            final_norm: Arc::clone(&self.final_norm),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// The hidden states `[ids.len(), d_model]` after the final norm. There is no mask: padding is encoded and attended
    /// to, as FLUX was trained.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] for an id beyond the table of embeddings, and those of the device.
    pub fn encode(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let (device, tokens, width) = (self.device.as_ref(), ids.len(), self.config.d_model);
        let mut x = embed(device, self.embeddings.as_ref(), ids, &self.config.path)?;
        let bias = device.upload(self.position_bias(tokens))?;
        for block in &self.blocks {
            block.forward(device, &mut x, tokens, &self.config, &bias)?;
        }
        let normal = self.final_norm.apply(device, &x, tokens, Precision::Exact)?;
        let mut encoded = vec![0.0; tokens * width];
        device.read(View::new(&normal, tokens, width), &mut encoded)?;
        Ok(encoded)
    }

    /// `[heads, keys, queries]`: what each head adds to the score of a pair for their distance
    /// (`T5Attention.compute_bias`).
    fn position_bias(&self, length: usize) -> Vec<f32> {
        let heads = self.config.num_heads;
        // Index `length − 1 + key − query`: distances −(length − 1) to length − 1.
        let buckets: Vec<usize> =
            (0..2 * length.max(1) - 1).map(|index| bucket(&self.config, index as i64 - (length as i64 - 1))).collect();
        let mut bias = vec![0.0; heads * length * length];
        bias.par_chunks_mut(length.max(1)).enumerate().for_each(|(row, values)| {
            let (head, key) = (row / length, row % length);
            for (query, value) in values.iter_mut().enumerate() {
                *value = self.distance_bias[buckets[length - 1 + key - query] * heads + head];
            }
        });
        bias
    }
}

impl<D: Device> T5Block<D> {
    fn load(device: &D, scope: &Scope, config: &T5Config) -> Result<Self> {
        let (width, inner) = (config.d_model, config.inner());
        let attention = scope.at(0).at("SelfAttention");
        let feed_forward = scope.at(1).at("DenseReluDense");
        let linear = |scope: Scope, inputs, outputs| StoredLinear::read_without_bias(&scope, inputs, outputs);
        let [q, k, v] = ["q", "k", "v"].map(|name| linear(attention.at(name), width, inner));
        Ok(Self {
            attention_norm: Arc::new(RmsNorm::load(device, &scope.at(0).at("layer_norm"), config)?),
            qkv: StoredLinear::stack(&[q?, k?, v?])?.upload(device)?,
            out: linear(attention.at("o"), inner, width)?.upload(device)?,
            feed_forward_norm: Arc::new(RmsNorm::load(device, &scope.at(1).at("layer_norm"), config)?),
            gate: linear(feed_forward.at("wi_0"), width, config.d_ff)?.upload(device)?,
            up: linear(feed_forward.at("wi_1"), width, config.d_ff)?.upload(device)?,
            down: linear(feed_forward.at("wo"), config.d_ff, width)?.upload(device)?,
        })
    }

    fn with_loras(&self, device: &D, loras: AppliedLoras) -> Result<Self> {
        Ok(Self {
            attention_norm: Arc::clone(&self.attention_norm),
            qkv: self.qkv.with_loras(device, loras)?,
            out: self.out.with_loras(device, loras)?,
            feed_forward_norm: Arc::clone(&self.feed_forward_norm),
            gate: self.gate.with_loras(device, loras)?,
            up: self.up.with_loras(device, loras)?,
            down: self.down.with_loras(device, loras)?,
        })
    }

    fn forward(&self, device: &D, x: &mut D::Buffer, tokens: usize, config: &T5Config, bias: &D::Buffer) -> Result<()> {
        let (width, inner, heads) = (config.d_model, config.inner(), config.num_heads);
        let normal = self.attention_norm.apply(device, x, tokens, Precision::Working)?;
        let qkv = self.qkv.apply(device, View::new(&normal, tokens, width), Finish::Store, Precision::Working)?;
        let part = |index: usize| View::new(&qkv, tokens, inner).strided(3 * inner).at(index * inner);
        let mut attended = device.allocate(tokens * inner, Precision::Working)?;
        // T5 leaves the scores unscaled; its initialisation makes up for it.
        let attention = Attention {
            heads,
            scale: 1.0,
            queries: part(0),
            keys: part(1),
            values: part(2),
            bias: AttentionBias::Pairs(View::new(bias, heads * tokens, tokens)),
        };
        device.attention(attention, ViewMut::new(&mut attended, tokens, inner))?;
        self.out.add_to(device, View::new(&attended, tokens, inner), x)?;

        let normal = self.feed_forward_norm.apply(device, x, tokens, Precision::Working)?;
        let normal = View::new(&normal, tokens, width);
        let mut hidden = self.gate.apply(device, normal, Finish::GeluTanh, Precision::Working)?;
        let up = self.up.apply(device, normal, Finish::Store, Precision::Working)?;
        let up = View::new(&up, tokens, config.d_ff);
        device.combine(Combine::Multiply, up, ViewMut::new(&mut hidden, tokens, config.d_ff))?;
        self.down.add_to(device, View::new(&hidden, tokens, config.d_ff), x)
    }
}

/// The bucket of a distance `key − query`: half of the buckets for keys behind the query; in each half the first half
/// exact, the others ever wider up to the largest distance. In f32, as transformers computes it.
fn bucket(config: &T5Config, distance: i64) -> usize {
    let half = config.relative_attention_num_buckets / 2;
    let exact = half / 2;
    let side = if distance > 0 { half } else { 0 };
    let distance = distance.unsigned_abs() as usize;
    if distance < exact {
        return side + distance;
    }
    let span = (config.relative_attention_max_distance as f64 / exact as f64).ln() as f32;
    let steps = (distance as f32 / exact as f32).ln() / span * (half - exact) as f32;
    side + (exact + steps as usize).min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_boundaries_are_those_of_t5() {
        let config = T5Config::default();
        let behind: Vec<usize> = (0..600).map(|distance| bucket(&config, -distance)).collect();
        assert_eq!(behind[..8], [0, 1, 2, 3, 4, 5, 6, 7]);
        let starts: Vec<usize> = (8..600).filter(|at| behind[*at] != behind[at - 1]).collect();
        assert_eq!(starts, [8, 12, 16, 23, 32, 46, 64, 91]);
        assert_eq!(behind[599], 15);
        for distance in 1..600 {
            assert_eq!(bucket(&config, distance), behind[distance as usize] + 16);
        }
    }

    #[test]
    fn unusable_settings_are_named() {
        let validate = |json: &str| {
            let config: T5Config = serde_json::from_str(json).unwrap();
            config.validate(Path::new("x"))
        };
        validate(r#"{"feed_forward_proj": "gated-gelu"}"#).unwrap();
        for (json, expected) in [
            ("{}", "x: feed_forward_proj: relu is not supported; expected gated-gelu"),
            (r#"{"feed_forward_proj": "gated-silu"}"#, "feed_forward_proj: gated-silu is not supported"),
            (r#"{"d_model": 0}"#, "d_model: 0 is out of range"),
            (r#"{"num_heads": 18446744073709551615}"#, "num_heads: 18446744073709551615 is out of range"),
            (r#"{"relative_attention_num_buckets": 30}"#, "relative_attention_num_buckets: 30 is not a multiple of 4"),
            (r#"{"relative_attention_max_distance": 8}"#, "relative_attention_max_distance: 8 is out of range"),
            (r#"{"layer_norm_epsilon": 0}"#, "layer_norm_epsilon: 0 is out of range"),
        ] {
            let message = validate(json).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
