//! Prompts and pictures to tokens: by the encoders, or from memory.

use super::cache::Known;
use super::clock::StageClock;
use super::context::PictureTokens;
use super::encodings::{Encodings, Of, PictureKey, Text, TextKey};
use super::finite;
use super::loras::LoraSelection;
use super::networks::{Networks, TEXT};
use crate::models::{coverage, downsample, downsample_masked, downsampled_side};
use afterimage_core::{EmptyPrompt, Error, Field, Picture, Result, Stage};
use afterimage_device::Device;
use afterimage_imaging::{Filter, resize};
use std::sync::Arc;

/// Encodes for one request of one tenant, unless an earlier one did.
pub(super) struct Encoder<'a, 'o, D: Device> {
    pub networks: &'a Networks<D>,
    pub loras: &'a LoraSelection,
    pub encodings: &'a Encodings,
    pub tenant: &'a str,
    pub clock: &'a mut StageClock<'o>,
}

impl<D: Device> Encoder<'_, '_, D> {
    /// Redux tokens of a picture; see [`encode_picture`].
    pub fn picture(&mut self, picture: &Picture) -> Result<Known<Vec<f32>>> {
        let Self { networks, encodings, tenant, .. } = *self;
        self.clock.time(
            Stage::ImageEncode,
            |timings| &mut timings.image_encode_ms,
            || {
                let key = Of::new(tenant, PictureKey::new(picture));
                encodings.pictures.get_or_make(&key, || encode_picture(networks, picture))
            },
        )
    }

    /// Tokens of a text; the empty string is one.
    pub fn text(&mut self, text: &str) -> Result<Known<Text>> {
        let Self { networks, loras, encodings, tenant, .. } = *self;
        let key = Of::new(tenant, TextKey { text: text.to_owned(), loras: loras.key(&TEXT) });
        self.clock.time(
            Stage::TextEncode,
            |timings| &mut timings.text_encode_ms,
            || encodings.texts.get_or_make(&key, || encode_text(networks, loras, text)),
        )
    }

    /// The text part of a variation: the prompt, or what its absence feeds.
    pub fn variation_text(&mut self, prompt: Option<&str>, empty: EmptyPrompt) -> Result<Known<Text>> {
        match (prompt, empty) {
            (Some(prompt), _) => self.text(prompt),
            (None, EmptyPrompt::Encode) => self.text(""),
            (None, EmptyPrompt::Zeros) => {
                let networks = self.networks;
                let text =
                    self.clock.time(Stage::TextEncode, |timings| &mut timings.text_encode_ms, || zeros(networks))?;
                Ok(Known { value: Arc::new(text), cached: false })
            }
        }
    }
}

/// Equal tokens at equal positions stay equal through every block, so one of them with the attention weight of all (a
/// bias of ln n on its key) computes the same and saves their work.
fn zeros<D: Device>(networks: &Networks<D>) -> Result<Text> {
    let flux = networks.files().flux();
    Ok(Text {
        tokens: vec![0.0; flux.joint_attention_dim],
        pooled: vec![0.0; flux.pooled_projection_dim],
        repeated: networks.t5_length()?,
    })
}

/// Encodes a text with both encoders.
pub(crate) fn encode_text<D: Device>(networks: &Networks<D>, loras: &LoraSelection, text: &str) -> Result<Text> {
    let encoders = networks.text_encoders(loras)?;
    let files = networks.files();
    let tokens = encoders.t5.encode(&encoders.t5_tokenizer.encode(text)?)?;
    finite::check(&tokens, || files.part("text_encoder_2"), "the T5 encoder")?;
    let pooled = encoders.clip.pooled(&encoders.clip_tokenizer.encode(text)?)?;
    finite::check(&pooled, || files.part("text_encoder"), "the CLIP encoder")?;
    Ok(Text { tokens, pooled, repeated: 1 })
}

/// Redux tokens of one picture, on the whole grid of the image encoder: `[tokens, joint_attention_dim]`.
pub(crate) fn encode_picture<D: Device>(networks: &Networks<D>, picture: &Picture) -> Result<Vec<f32>> {
    let encoders = networks.image_encoders()?;
    let square = resize(picture, encoders.preprocessor.size(), Filter::Bicubic)?;
    let tokens = encoders.siglip.encode(&encoders.preprocessor.planes(&square)?)?;
    let tokens = encoders.redux.embed(&tokens)?;
    finite::check(&tokens, || networks.files().redux_part(), "SigLIP and the Redux embedder")?;
    Ok(tokens)
}

/// What a request makes of the `tokens` of one picture, rows of `width` numbers: only what lies under `mask`, on the grid
/// that `downsample_factor` leaves.
///
/// # Errors
/// [`Error::Field`] `image_mask` when nothing lies under it.
pub(super) fn as_requested(
    tokens: Arc<Vec<f32>>,
    width: usize,
    mask: Option<&Picture>,
    downsample_factor: f64,
) -> Result<PictureTokens> {
    let from = (tokens.len() / width).isqrt();
    let to = downsampled_side(from, downsample_factor);
    let Some(mask) = mask else {
        return Ok(PictureTokens::whole(if from == to {
            tokens
        } else {
            Arc::new(downsample(&tokens, from, downsample_factor))
        }));
    };
    let weights = coverage(mask, from);
    if weights.iter().all(|weight| *weight == 0.0) {
        let problem = "it is black, so that nothing of its picture would speak; white speaks";
        return Err(Error::field(Field::ImageMask, problem));
    }
    let (tokens, weights) = if from == to {
        (tokens, weights)
    } else {
        let (tokens, weights) = downsample_masked(&tokens, &weights, from, to);
        (Arc::new(tokens), weights)
    };
    Ok(PictureTokens { tokens, mask: Some(weights) })
}
