//! Configurations as a file's shapes tell them, for files that come without one. What shapes do not tell (the number of
//! attention heads, for one) has a value with which the tensors are the same and must not be computed with.

use crate::config::VaeConfig;
use crate::models::{ClipTextConfig, ReduxConfig, SiglipConfig, T5Config};
use crate::weights::LayoutSource;
use crate::weights::blocks::count;

/// CLIP's text encoder; `None` when the shapes do not tell.
pub fn clip(source: &LayoutSource) -> Option<ClipTextConfig> {
    let [vocabulary, width] = source.shape("embeddings.token_embedding.weight")?.try_into().ok()?;
    let mut config = ClipTextConfig::default();
    config.num_hidden_layers = layers(source);
    config.hidden_size = width;
    config.intermediate_size = first_side(source, "encoder.layers.0.mlp.fc1.weight")?;
    config.vocab_size = vocabulary;
    config.max_position_embeddings = first_side(source, "embeddings.position_embedding.weight")?;
    config.num_attention_heads = 1;
    Some(config)
}

/// SigLIP's vision tower; `None` when the shapes do not tell.
pub fn siglip(source: &LayoutSource) -> Option<SiglipConfig> {
    let [width, _, patch, _] = source.shape("embeddings.patch_embedding.weight")?.try_into().ok()?;
    let tokens = first_side(source, "embeddings.position_embedding.weight")?;
    Some(SiglipConfig {
        num_hidden_layers: layers(source),
        hidden_size: width,
        intermediate_size: first_side(source, "encoder.layers.0.mlp.fc1.weight")?,
        patch_size: patch,
        image_size: tokens.isqrt().checked_mul(patch)?,
        num_attention_heads: 1,
        ..SiglipConfig::default()
    })
}

/// T5's encoder; `None` when the shapes do not tell.
pub fn t5(source: &LayoutSource) -> Option<T5Config> {
    const QUERIES: &str = "layer.0.SelfAttention.q.weight";
    let [vocabulary, width] = source.shape("shared.weight")?.try_into().ok()?;
    let bias = source.shape("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")?;
    let [buckets, heads] = bias.try_into().ok()?;
    let mut config = T5Config::default();
    config.num_layers =
        count(|name| source.shape(name).is_some(), |number| format!("encoder.block.{number}.{QUERIES}"));
    config.d_model = width;
    config.d_kv = first_side(source, &format!("encoder.block.0.{QUERIES}"))?.checked_div(heads)?;
    config.d_ff = first_side(source, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight")?;
    config.num_heads = heads;
    config.vocab_size = vocabulary;
    config.relative_attention_num_buckets = buckets;
    "gated-gelu".clone_into(&mut config.feed_forward_proj);
    Some(config)
}

/// The Redux adapter; `None` when the shapes do not tell.
pub fn redux(source: &LayoutSource) -> Option<ReduxConfig> {
    let [_, redux_dim] = source.shape("redux_up.weight")?.try_into().ok()?;
    Some(ReduxConfig { redux_dim, txt_in_features: first_side(source, "redux_down.weight")? })
}

/// The VAE; scaling and shift are FLUX's, and there is one normalisation group. `None` when the shapes do not tell.
pub fn vae(source: &LayoutSource) -> Option<VaeConfig> {
    let has = |name: &str| source.shape(name).is_some();
    let conv1 = |level: usize, number: usize| format!("encoder.down_blocks.{level}.resnets.{number}.conv1.weight");
    let levels = count(has, |level| conv1(level, 0));
    let block_out_channels: Option<Vec<usize>> =
        (0..levels).map(|level| first_side(source, &conv1(level, 0))).collect();
    Some(VaeConfig {
        block_out_channels: block_out_channels?,
        layers_per_block: count(has, |number| conv1(0, number)),
        latent_channels: *source.shape("decoder.conv_in.weight")?.get(1)?,
        mid_block_add_attention: has("encoder.mid_block.attentions.0.group_norm.weight"),
        norm_num_groups: 1,
        ..VaeConfig::flux()
    })
}

/// The layers of CLIP's and SigLIP's encoders.
fn layers(source: &LayoutSource) -> usize {
    count(|name| source.shape(name).is_some(), |number| format!("encoder.layers.{number}.mlp.fc1.weight"))
}

fn first_side(source: &LayoutSource, name: &str) -> Option<usize> {
    source.shape(name)?.first().copied()
}
