//! T5's encoder (Raffel et al., 2020; version 1.1 with gated GELU after Shazeer, 2020).

use super::embed;
use crate::config::check::{Check, read_checked};
use crate::layers::{multiply, rms_norm};
use crate::weights::{Bundle, Depth, Scope};
use afterimage_core::{Error, Result};
use afterimage_kernels::attention::{AttentionBias, AttentionShape, Tokens, attention};
use afterimage_kernels::gemm::{Finish, Rows, RowsMut, linear, linear_into};
use afterimage_tensors::Matrix;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    /// [`Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle) -> Result<Self> {
        let config = read_checked(folder, "config.json", Self::validate)?;
        Ok(Self { path: folder.path("config.json"), ..config })
    }

    /// The layers that it counts.
    pub fn depths(&self) -> [Depth; 1] {
        [Depth { field: "num_layers", used: self.num_layers, is_switch: false, patterns: &["encoder.block.#"] }]
    }

    /// Checks every field; `path` is the file that messages name.
    ///
    /// # Errors
    /// [`Error::ModelFile`] for the first field that cannot be used.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let check = Check::new(path);
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

struct Block {
    attention_norm: Vec<f32>,
    /// Queries, keys and values below each other.
    qkv: Matrix,
    out: Matrix,
    feed_forward_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

/// The encoder.
pub struct T5Encoder {
    config: T5Config,
    embeddings: Matrix,
    /// `[buckets, heads]`: block 0 has it, all blocks use it.
    distance_bias: Vec<f32>,
    blocks: Vec<Block>,
    final_norm: Vec<f32>,
}

impl T5Encoder {
    /// Takes the tensors from `weights`, whose names are transformers', the embeddings under `shared.weight`.
    ///
    /// # Errors
    /// [`Error::Tensor`] for one that is missing or has another shape than `config` says.
    pub fn new(config: T5Config, weights: &Scope) -> Result<Self> {
        let stack = weights.at("encoder");
        let blocks = (0..config.num_layers).map(|index| Block::new(&config, &stack.at("block").at(index).at("layer")));
        let first = stack.at("block.0.layer.0.SelfAttention.relative_attention_bias");
        Ok(Self {
            embeddings: weights.matrix("shared.weight", config.vocab_size, config.d_model)?,
            distance_bias: first.values("weight", &[config.relative_attention_num_buckets, config.num_heads])?,
            blocks: blocks.collect::<Result<_>>()?,
            final_norm: stack.vector("final_layer_norm.weight", config.d_model)?,
            config,
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
    /// [`Error::ModelFile`] for an id beyond the table of embeddings.
    pub fn encode(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let epsilon = self.config.layer_norm_epsilon as f32;
        let mut x = embed(&self.embeddings, ids, &self.config.path)?;
        let bias = self.position_bias(ids.len());
        for block in &self.blocks {
            block.forward(&mut x, &self.config, epsilon, &bias);
        }
        Ok(rms_norm(&x, &self.final_norm, epsilon))
    }

    /// `[heads, keys, queries]`: what each head adds to the score of a pair for their distance.
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

impl Block {
    fn new(config: &T5Config, weights: &Scope) -> Result<Self> {
        let (width, inner) = (config.d_model, config.inner());
        let attention = weights.at(0).at("SelfAttention");
        let feed_forward = weights.at(1).at("DenseReluDense");
        let parts = ["q", "k", "v"].map(|name| attention.at(name).matrix("weight", inner, width));
        let parts = parts.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(Self {
            attention_norm: weights.at(0).vector("layer_norm.weight", width)?,
            qkv: Matrix::stack(&parts)
                .ok_or_else(|| Error::internal("queries, keys and values of different widths"))?,
            out: attention.matrix("o.weight", width, inner)?,
            feed_forward_norm: weights.at(1).vector("layer_norm.weight", width)?,
            gate: feed_forward.matrix("wi_0.weight", config.d_ff, width)?,
            up: feed_forward.matrix("wi_1.weight", config.d_ff, width)?,
            down: feed_forward.matrix("wo.weight", width, config.d_ff)?,
        })
    }

    fn forward(&self, x: &mut [f32], config: &T5Config, epsilon: f32, bias: &[f32]) {
        let (width, inner) = (config.d_model, config.inner());
        let tokens = x.len() / width;
        // T5 leaves the scores unscaled; its initialisation makes up for it.
        let (heads, head_dim) = (config.num_heads, config.d_kv);
        let shape = AttentionShape { queries: tokens, keys: tokens, heads, head_dim, scale: 1.0 };
        let qkv = linear(&rms_norm(x, &self.attention_norm, epsilon), &self.qkv, None);
        let part = |index: usize| Tokens { data: &qkv, row_stride: 3 * inner, offset: index * inner };
        let mut attended = vec![0.0; tokens * inner];
        let bias = AttentionBias::Pairs { values: bias, per_head: true };
        attention(&shape, part(0), part(1), part(2), &bias, &mut attended, inner, 0);
        product(&attended, &self.out, Finish::Add, x);

        let normalised = rms_norm(x, &self.feed_forward_norm, epsilon);
        let mut hidden = vec![0.0; tokens * config.d_ff];
        product(&normalised, &self.gate, Finish::Gelu, &mut hidden);
        multiply(&mut hidden, &linear(&normalised, &self.up, None));
        product(&hidden, &self.down, Finish::Add, x);
    }
}

fn product(x: &[f32], weight: &Matrix, finish: Finish, out: &mut [f32]) {
    let (inputs, outputs) = (weight.cols(), weight.rows());
    let x = Rows { data: x, rows: x.len() / inputs, stride: inputs };
    linear_into(x, weight, None, finish, RowsMut { data: out, stride: outputs });
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
