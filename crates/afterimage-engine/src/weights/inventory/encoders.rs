//! The tensors of CLIP, SigLIP, T5 and Redux, by transformers' and diffusers' names without `text_model.` and
//! `vision_model.`, and their sizes as a file's shapes tell them.

use super::{List, Wanted, count};
use crate::weights::layout::LayoutSource;
use serde::Serialize;

/// Sizes of CLIP's text encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClipSizes {
    /// Transformer layers.
    pub layers: usize,
    /// Width of a token.
    pub width: usize,
    /// Width of the MLPs.
    pub mlp: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Positions.
    pub positions: usize,
}

impl ClipSizes {
    /// Sizes of the model in `source`; `None` when its shapes do not tell.
    pub fn read(source: &LayoutSource) -> Option<Self> {
        let [vocabulary, width] = source.shape("embeddings.token_embedding.weight")?.try_into().ok()?;
        Some(Self {
            layers: layers(source),
            width,
            mlp: *source.shape("encoder.layers.0.mlp.fc1.weight")?.first()?,
            vocabulary,
            positions: *source.shape("embeddings.position_embedding.weight")?.first()?,
        })
    }

    /// All tensors that are needed.
    pub fn wanted(&self) -> Vec<Wanted> {
        let mut list = List::default();
        list.tensor("embeddings.token_embedding.weight".to_owned(), &[self.vocabulary, self.width]);
        list.tensor("embeddings.position_embedding.weight".to_owned(), &[self.positions, self.width]);
        encoder_layers(&mut list, self.layers, self.width, self.mlp);
        list.norm("final_layer_norm", self.width);
        list.wanted
    }
}

/// Sizes of SigLIP's vision tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SiglipSizes {
    /// Transformer layers.
    pub layers: usize,
    /// Width of a token.
    pub width: usize,
    /// Width of the MLPs.
    pub mlp: usize,
    /// Pixels of a patch's side.
    pub patch: usize,
    /// Image tokens.
    pub tokens: usize,
}

impl SiglipSizes {
    /// Sizes of the model in `source`; `None` when its shapes do not tell.
    pub fn read(source: &LayoutSource) -> Option<Self> {
        let [width, _, patch, _] = source.shape("embeddings.patch_embedding.weight")?.try_into().ok()?;
        Some(Self {
            layers: layers(source),
            width,
            mlp: *source.shape("encoder.layers.0.mlp.fc1.weight")?.first()?,
            patch,
            tokens: *source.shape("embeddings.position_embedding.weight")?.first()?,
        })
    }

    /// All tensors that are needed: the tower without its pooling head.
    pub fn wanted(&self) -> Vec<Wanted> {
        let mut list = List::default();
        list.conv("embeddings.patch_embedding", self.width, 3, self.patch);
        list.tensor("embeddings.position_embedding.weight".to_owned(), &[self.tokens, self.width]);
        encoder_layers(&mut list, self.layers, self.width, self.mlp);
        list.norm("post_layernorm", self.width);
        list.wanted
    }
}

/// Sizes of T5's encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct T5Sizes {
    /// Transformer layers.
    pub layers: usize,
    /// Width of a token.
    pub width: usize,
    /// Heads × width of one head.
    pub inner: usize,
    /// Width of the MLPs.
    pub mlp: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Buckets of relative positions.
    pub buckets: usize,
    /// Attention heads.
    pub heads: usize,
}

impl T5Sizes {
    /// Sizes of the model in `source`; `None` when its shapes do not tell.
    pub fn read(source: &LayoutSource) -> Option<Self> {
        let [vocabulary, width] = source.shape("shared.weight")?.try_into().ok()?;
        let [buckets, heads] = source.shape(T5_BIAS)?.try_into().ok()?;
        Some(Self {
            layers: count(
                |name| source.shape(name).is_some(),
                |number| format!("encoder.block.{number}.layer.0.SelfAttention.q.weight"),
            ),
            width,
            inner: *source.shape("encoder.block.0.layer.0.SelfAttention.q.weight")?.first()?,
            mlp: *source.shape("encoder.block.0.layer.1.DenseReluDense.wi_0.weight")?.first()?,
            vocabulary,
            buckets,
            heads,
        })
    }

    /// All tensors that are needed.
    pub fn wanted(&self) -> Vec<Wanted> {
        let mut list = List::default();
        list.tensor("shared.weight".to_owned(), &[self.vocabulary, self.width]);
        list.tensor(T5_BIAS.to_owned(), &[self.buckets, self.heads]);
        for number in 0..self.layers {
            let block = format!("encoder.block.{number}");
            for layer in ["q", "k", "v"] {
                list.tensor(format!("{block}.layer.0.SelfAttention.{layer}.weight"), &[self.inner, self.width]);
            }
            list.tensor(format!("{block}.layer.0.SelfAttention.o.weight"), &[self.width, self.inner]);
            list.tensor(format!("{block}.layer.0.layer_norm.weight"), &[self.width]);
            list.tensor(format!("{block}.layer.1.DenseReluDense.wi_0.weight"), &[self.mlp, self.width]);
            list.tensor(format!("{block}.layer.1.DenseReluDense.wi_1.weight"), &[self.mlp, self.width]);
            list.tensor(format!("{block}.layer.1.DenseReluDense.wo.weight"), &[self.width, self.mlp]);
            list.tensor(format!("{block}.layer.1.layer_norm.weight"), &[self.width]);
        }
        list.tensor("encoder.final_layer_norm.weight".to_owned(), &[self.width]);
        list.wanted
    }
}

const T5_BIAS: &str = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";

/// Sizes of the Redux adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ReduxSizes {
    /// Width of SigLIP's tokens.
    pub input: usize,
    /// Width in between, three times `output` in diffusers.
    pub hidden: usize,
    /// Width of the transformer's text tokens.
    pub output: usize,
}

impl ReduxSizes {
    /// Sizes of the model in `source`; `None` when its shapes do not tell.
    pub fn read(source: &LayoutSource) -> Option<Self> {
        let [hidden, input] = source.shape("redux_up.weight")?.try_into().ok()?;
        Some(Self { input, hidden, output: *source.shape("redux_down.weight")?.first()? })
    }

    /// All tensors that are needed.
    pub fn wanted(&self) -> Vec<Wanted> {
        let mut list = List::default();
        list.linear("redux_up", self.hidden, self.input);
        list.linear("redux_down", self.output, self.hidden);
        list.wanted
    }
}

fn layers(source: &LayoutSource) -> usize {
    count(|name| source.shape(name).is_some(), |number| format!("encoder.layers.{number}.mlp.fc1.weight"))
}

/// The layers that CLIP's and SigLIP's encoders share.
fn encoder_layers(list: &mut List, layers: usize, width: usize, mlp: usize) {
    for number in 0..layers {
        let layer = format!("encoder.layers.{number}");
        list.norm(&format!("{layer}.layer_norm1"), width);
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            list.linear(&format!("{layer}.self_attn.{projection}"), width, width);
        }
        list.norm(&format!("{layer}.layer_norm2"), width);
        list.linear(&format!("{layer}.mlp.fc1"), mlp, width);
        list.linear(&format!("{layer}.mlp.fc2"), width, mlp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(wanted: &[Wanted]) -> usize {
        wanted.iter().map(Wanted::numbers).sum()
    }

    #[test]
    fn full_size_counts_are_those_of_the_published_files() {
        let t5 =
            T5Sizes { layers: 24, width: 4096, inner: 4096, mlp: 10_240, vocabulary: 32_128, buckets: 32, heads: 64 };
        assert_eq!((t5.wanted().len(), numbers(&t5.wanted())), (219, 4_762_310_656));
        let siglip = SiglipSizes { layers: 27, width: 1152, mlp: 4304, patch: 14, tokens: 729 };
        assert_eq!(numbers(&siglip.wanted()), 412_987_248);
        let clip = ClipSizes { layers: 12, width: 768, mlp: 3072, vocabulary: 49_408, positions: 77 };
        assert_eq!(numbers(&clip.wanted()), 123_060_480);
        let redux = ReduxSizes { input: 1152, hidden: 12_288, output: 4096 };
        assert_eq!((redux.wanted().len(), numbers(&redux.wanted())), (4, 64_503_808));
    }
}
