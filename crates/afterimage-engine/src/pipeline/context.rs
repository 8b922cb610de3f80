//! Encoded text and pictures to what conditions the transformer.

use super::encodings::Text;
use crate::models::flux::TokenBias;
use afterimage_core::VariationSettings;
use std::sync::Arc;

/// What the transformer is conditioned on besides timestep and guidance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Context {
    /// Text tokens, then image tokens: `[tokens, joint_attention_dim]`.
    pub tokens: Vec<f32>,
    /// `[pooled_projection_dim]`
    pub pooled: Vec<f32>,
    /// Attention bias of the tokens, if any.
    pub bias: Option<TokenBias>,
}

/// Joins text and pictures as diffusers' `FluxPriorReduxPipeline` does: each picture's row is `[text | image tokens]`
/// times its weight, and the rows are summed, pooled vectors likewise. Without weights every picture counts 1/n, which
/// leaves a single picture and the scale of the text unchanged.
///
/// `width` is the tokens' width; all pictures have the same number of tokens.
pub(crate) fn join(width: usize, text: Text, pictures: &[Arc<Vec<f32>>], settings: &VariationSettings) -> Context {
    let weights: Vec<f32> = if settings.image_weights.is_empty() {
        vec![1.0 / pictures.len().max(1) as f32; pictures.len()]
    } else {
        settings.image_weights.iter().map(|weight| *weight as f32).collect()
    };
    let total: f32 = if pictures.is_empty() { 1.0 } else { weights.iter().sum() };
    let Text { mut tokens, mut pooled, repeated } = text;
    let text_tokens = tokens.len() / width;
    for value in tokens.iter_mut().chain(&mut pooled) {
        *value *= total;
    }
    let mut image = vec![0.0; pictures.first().map_or(0, |picture| picture.len())];
    for (picture, weight) in pictures.iter().zip(weights) {
        for (sum, value) in image.iter_mut().zip(picture.iter()) {
            *sum += weight * value;
        }
    }
    let image_tokens = image.len() / width;
    tokens.extend(image);
    let strength = settings.redux_strength as f32;
    let biased = repeated > 1 || (image_tokens > 0 && strength < 1.0);
    let bias = biased.then(|| TokenBias {
        for_all: [vec![(repeated as f32).ln(); text_tokens], vec![0.0; image_tokens]].concat(),
        for_others: [vec![0.0; text_tokens], vec![strength.ln(); image_tokens]].concat(),
    });
    Context { tokens, pooled, bias }
}
