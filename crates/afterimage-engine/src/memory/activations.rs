//! Bytes of the buffers that encoders and transformer hold at once, told by their sizes; the autoencoder's are in its
//! configuration. The recording device is the oracle: see the tests of the pipeline.

use crate::config::FluxConfig;
use crate::models::{ClipTextConfig, SiglipConfig, T5Config};

/// Bytes of a number in a buffer.
const NUMBER: u64 = 4;

/// Numbers for each token of an encoder's layer: residual, normalised input or attention's output, queries, keys and
/// values, and its MLP's inside.
fn layer(tokens: usize, width: usize, attended: usize, inside: usize) -> u64 {
    tokens as u64 * (3 * width + 4 * attended + inside) as u64
}

/// T5 over `tokens` tokens: two wide buffers for the gated MLP, and the distances' bias of every head.
pub(crate) fn t5(config: &T5Config, tokens: usize) -> u64 {
    let inner = config.num_heads * config.d_kv;
    let bias = config.num_heads as u64 * (tokens * tokens) as u64;
    // The bias and the encoded text lie on the host and on the device for a moment.
    NUMBER * (layer(tokens, 2 * config.d_model, inner, 2 * config.d_ff) + 2 * bias)
}

/// CLIP over its whole sequence.
pub(crate) fn clip(config: &ClipTextConfig) -> u64 {
    let tokens = config.max_position_embeddings;
    let mask = (tokens * tokens) as u64;
    NUMBER * (layer(tokens, config.hidden_size, config.hidden_size, config.intermediate_size) + 2 * mask)
}

/// `SigLIP` over one picture, and Redux, whose inside is `redux_inside` wide, over its tokens.
pub(crate) fn siglip(config: &SiglipConfig, redux_inside: usize) -> u64 {
    let tokens = config.grid_side() * config.grid_side();
    let pixels = (3 * config.image_size * config.image_size) as u64;
    let encoder = layer(tokens, config.hidden_size, config.hidden_size, config.intermediate_size);
    // Redux runs after the tower; its output is a third of its inside.
    let redux = tokens as u64 * (redux_inside + redux_inside.div_ceil(3) + config.hidden_size) as u64;
    NUMBER * (encoder.max(redux) + 2 * pixels)
}

/// What steps keep for later ones, for each of `pictures` pictures of `image` tokens, and the step under way.
pub(crate) fn step_caches(config: &FluxConfig, image: usize, pictures: usize) -> u64 {
    NUMBER * ((1 + 2 * pictures) * image * config.hidden()) as u64
}

/// The transformer: what a request fixes for `steps` steps, and the buffers of one step, over `text` tokens of text and
/// picture prompts and `image` tokens of the picture that is made. MLPs work on `wide_rows` rows at once.
pub(crate) fn flux(config: &FluxConfig, text: usize, image: usize, steps: usize, wide_rows: usize) -> u64 {
    let hidden = config.hidden();
    let tokens = text + image;
    let modulations = hidden * (12 * config.num_layers + 3 * config.num_single_layers + 4);
    let conditioning = steps * modulations
        + text * (hidden + 2 * config.joint_attention_dim)
        // Angles in f64 on the host, then a table of sines and cosines.
        + 2 * tokens * config.attention_head_dim;
    let workspace = tokens * 5 * hidden + tokens.min(wide_rows) * (2 * hidden + config.mlp());
    // Latents and velocity, on the host and on the device.
    let latents = 2 * image * (config.in_channels + config.out_channels());
    NUMBER * (conditioning + workspace + latents) as u64
}
