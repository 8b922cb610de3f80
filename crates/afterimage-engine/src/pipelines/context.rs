//! Prompt and pictures to the tokens that condition the transformer.

use super::encodings::{Known, Of, PictureKey};
use super::finite;
use super::models::Models;
use crate::models::downsample;
use crate::models::flux::TokenBias;
use afterimage_core::{EmptyPrompt, Picture, Result, VariationSettings};
use afterimage_imaging::{Filter, resize};
use std::sync::Arc;
use std::time::Instant;

/// What the transformer is conditioned on besides timestep and guidance.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Context {
    /// Text tokens, then image tokens: `[tokens, joint_attention_dim]`.
    pub tokens: Vec<f32>,
    /// `[pooled_projection_dim]`
    pub pooled: Vec<f32>,
    /// Attention bias of the tokens, if any.
    pub bias: Option<TokenBias>,
}

/// T5 tokens and the pooled CLIP vector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub tokens: Vec<f32>,
    pub pooled: Vec<f32>,
    /// How many equal tokens each row of `tokens` stands for.
    pub repeated: usize,
}

/// Encodes a text with both encoders; the empty string is a text.
pub(super) fn encode_text(models: &Models, text: &str) -> Result<Text> {
    let encoders = models.text_encoders()?;
    let tokens = encoders.t5.encode(&encoders.t5_tokenizer.encode(text)?)?;
    finite::check(&tokens, || models.part("text_encoder_2"), "the T5 encoder")?;
    let pooled = encoders.clip.pooled(&encoders.clip_tokenizer.encode(text)?)?;
    finite::check(&pooled, || models.part("text_encoder"), "the CLIP encoder")?;
    Ok(Text { tokens, pooled, repeated: 1 })
}

/// The text part of a variation: the prompt, or what its absence feeds.
pub(super) fn variation_text(
    models: &Models,
    tenant: &str,
    prompt: Option<&str>,
    empty: EmptyPrompt,
) -> Result<Known<Text>> {
    match (prompt, empty) {
        (Some(prompt), _) => known_text(models, tenant, prompt),
        (None, EmptyPrompt::Encode) => known_text(models, tenant, ""),
        (None, EmptyPrompt::Zeros) => Ok(Known { value: Arc::new(zeros(models)?), cached: false }),
    }
}

/// Equal tokens at equal positions stay equal through every block, so one of them with the attention weight of all (a
/// bias of ln n on its key) computes the same and saves their work.
fn zeros(models: &Models) -> Result<Text> {
    Ok(Text {
        tokens: vec![0.0; models.flux_config().joint_attention_dim],
        pooled: vec![0.0; models.flux_config().pooled_projection_dim],
        repeated: models.t5_length()?,
    })
}

/// [`encode_text`], unless an earlier request of the tenant did.
pub(super) fn known_text(models: &Models, tenant: &str, text: &str) -> Result<Known<Text>> {
    let bytes = |encoded: &Text| text.len() + size_of_val(&encoded.tokens[..]) + size_of_val(&encoded.pooled[..]);
    models.encodings().texts.get_or_make(Of::new(tenant, text.to_owned()), bytes, || encode_text(models, text))
}

/// [`encode_picture`], unless an earlier request of the tenant did.
pub(super) fn known_picture(
    models: &Models,
    tenant: &str,
    picture: &Picture,
    downsample_factor: f64,
) -> Result<Known<Vec<f32>>> {
    let key = Of::new(tenant, PictureKey::new(picture, downsample_factor));
    let bytes = |tokens: &Vec<f32>| size_of_val(&tokens[..]);
    models.encodings().pictures.get_or_make(key, bytes, || encode_picture(models, picture, downsample_factor))
}

/// Redux tokens of one picture, on the grid that `downsample_factor` leaves: `[tokens, joint_attention_dim]`.
pub(super) fn encode_picture(models: &Models, picture: &Picture, downsample_factor: f64) -> Result<Vec<f32>> {
    let encoders = models.image_encoders()?;
    let square = resize(picture, encoders.preprocessor.size(), Filter::Bicubic)?;
    let tokens = encoders.siglip.encode(&encoders.preprocessor.planes(&square)?)?;
    let tokens = encoders.redux.embed(&tokens)?;
    finite::check(&tokens, || models.redux_part(), "SigLIP and the Redux embedder")?;
    Ok(downsample(&tokens, encoders.siglip.config().grid_side(), downsample_factor))
}

/// Joins text and pictures as diffusers' `FluxPriorReduxPipeline` does: each picture's row is `[text | image tokens]`
/// times its weight, and the rows are summed, pooled vectors likewise. Without weights every picture counts 1/n, which
/// leaves a single picture and the scale of the text unchanged.
///
/// `width` is the tokens' width; all pictures have the same number of tokens.
pub(super) fn join(width: usize, text: Text, pictures: &[Arc<Vec<f32>>], settings: &VariationSettings) -> Context {
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

/// A picture and a prompt encoded for a benchmark.
pub struct EncodedForBench {
    /// `[tokens, joint_attention_dim]`
    pub tokens: Vec<f32>,
    /// `[pooled_projection_dim]`
    pub pooled: Vec<f32>,
    /// Building encoders, the first time.
    pub load_ms: f64,
    /// SigLIP and Redux.
    pub image_encode_ms: f64,
    /// T5 and CLIP.
    pub text_encode_ms: f64,
}

/// Encodes `picture` and a short prompt, with times.
///
/// # Errors
/// Those of building the encoders.
pub fn bench_context(models: &Models, picture: &Picture) -> Result<EncodedForBench> {
    let milliseconds = |start: Instant| start.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    models.image_encoders()?;
    models.text_encoders()?;
    let load_ms = milliseconds(start);
    let start = Instant::now();
    let image = encode_picture(models, picture, 1.0)?;
    let image_encode_ms = milliseconds(start);
    let start = Instant::now();
    let text = encode_text(models, "a red sailing boat on a calm lake, in the style of a woodcut")?;
    let text_encode_ms = milliseconds(start);
    let width = models.flux_config().joint_attention_dim;
    let Context { tokens, pooled, .. } = join(width, text, &[Arc::new(image)], &VariationSettings::default());
    Ok(EncodedForBench { tokens, pooled, load_ms, image_encode_ms, text_encode_ms })
}
