//! Encoded text and pictures to what conditions the transformer.

use super::encodings::Text;
use crate::models::flux::TokenBias;
use afterimage_core::VariationSettings;
use std::ops::Range;
use std::sync::Arc;

/// What a token is given in place of ln 0: attention weights underflow to nothing, and sums stay finite (logits of
/// normalised queries and keys are below a few hundred).
const NOTHING: f32 = -1e4;

/// What the transformer is conditioned on besides timestep and guidance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Context {
    /// Text tokens, then image tokens: `[tokens, joint_attention_dim]`.
    pub tokens: Vec<f32>,
    /// `[pooled_projection_dim]`
    pub pooled: Vec<f32>,
    /// ln of how much each token counts, one number a token.
    for_all: Vec<f32>,
    /// Which tokens are the pictures'.
    redux: Range<usize>,
    /// How much these count in which step.
    settings: VariationSettings,
}

impl Context {
    /// Text alone.
    pub fn of_text(text: Text) -> Self {
        let width = text.tokens.len().max(1);
        join(width, text, &[], &VariationSettings::default())
    }

    /// The attention bias of the tokens in `steps` of `in_all`, if any has one.
    pub fn bias(&self, steps: Range<u32>, in_all: u32) -> Option<TokenBias> {
        let strength = |step: u32| self.settings.strength_at(f64::from(step) / f64::from(in_all.max(1)));
        let for_others = steps.map(|step| (strength(step) as f32).ln().max(NOTHING));
        let for_others: Vec<f32> = for_others.map(|bias| if self.redux.is_empty() { 0.0 } else { bias }).collect();
        let is_even = self.for_all.iter().chain(&for_others).all(|bias| *bias == 0.0);
        let (for_all, redux) = (self.for_all.clone(), self.redux.clone());
        (!is_even).then_some(TokenBias { for_all, redux, for_others })
    }
}

/// A picture's tokens on the grid that all of a request's pictures share.
#[derive(Clone, Debug)]
pub(crate) struct PictureTokens {
    /// `[tokens, joint_attention_dim]`
    pub tokens: Arc<Vec<f32>>,
    /// 0..=1: how much each of them counts, where a mask says so.
    pub mask: Option<Vec<f32>>,
}

impl PictureTokens {
    /// Tokens that all count.
    pub fn whole(tokens: impl Into<Arc<Vec<f32>>>) -> Self {
        Self { tokens: tokens.into(), mask: None }
    }
}

/// Joins text and pictures as diffusers' `FluxPriorReduxPipeline` does: each picture's row is `[text | image tokens]`
/// times its weight, and the rows are summed, pooled vectors likewise. Without weights every picture counts 1/n, which
/// leaves a single picture and the scale of the text unchanged.
///
/// A masked token counts less, by its attention weight; what counts nothing is left out. Where several pictures have masks,
/// a token is the mean of those that speak there, in proportion to weight and mask, and counts as much as the one that
/// counts most.
///
/// `width` is the tokens' width; all pictures have the same number of tokens.
pub(crate) fn join(width: usize, text: Text, pictures: &[PictureTokens], settings: &VariationSettings) -> Context {
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
    let mut for_all = vec![(repeated as f32).ln(); text_tokens];
    if pictures.iter().all(|picture| picture.mask.is_none()) {
        let mut image = vec![0.0; pictures.first().map_or(0, |picture| picture.tokens.len())];
        for (picture, weight) in pictures.iter().zip(weights) {
            add_scaled(&mut image, weight, &picture.tokens);
        }
        tokens.extend(image);
        for_all.resize(tokens.len() / width, 0.0);
    } else {
        mix_masked(width, pictures, &weights, &mut tokens, &mut for_all);
    }
    let redux = text_tokens..for_all.len();
    Context { tokens, pooled, for_all, redux, settings: settings.clone() }
}

fn add_scaled(sums: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// Appends the tokens that count at all, and ln of how much.
fn mix_masked(
    width: usize,
    pictures: &[PictureTokens],
    weights: &[f32],
    tokens: &mut Vec<f32>,
    for_all: &mut Vec<f32>,
) {
    let cells = pictures.first().map_or(0, |picture| picture.tokens.len() / width);
    let whole: f32 = weights.iter().map(|weight| weight.abs()).sum();
    let mask = |picture: &PictureTokens, cell: usize| picture.mask.as_ref().map_or(1.0, |mask| mask[cell]);
    for cell in 0..cells {
        let speaking = || pictures.iter().zip(weights).map(|(picture, weight)| (picture, *weight, mask(picture, cell)));
        let present: f32 = speaking().map(|(_, weight, mask)| weight.abs() * mask).sum();
        if present == 0.0 {
            continue;
        }
        let start = tokens.len();
        tokens.resize(start + width, 0.0);
        for (picture, weight, mask) in speaking().filter(|(_, _, mask)| *mask > 0.0) {
            let token = &picture.tokens[cell * width..][..width];
            // One picture's token is itself, whatever its mask.
            let factor = if pictures.len() == 1 { weight } else { weight * mask * (whole / present) };
            add_scaled(&mut tokens[start..], factor, token);
        }
        let most = speaking().filter(|(_, weight, _)| *weight != 0.0).map(|(_, _, mask)| mask).fold(0.0, f32::max);
        for_all.push(most.ln().max(NOTHING));
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the compared numbers are exact")]
mod tests {
    use super::*;
    use afterimage_core::StrengthSpan;
    use proptest::prelude::*;

    fn text() -> Text {
        Text { tokens: vec![1.0, 2.0], pooled: vec![3.0], repeated: 1 }
    }

    fn picture(values: &[f32], mask: Option<&[f32]>) -> PictureTokens {
        PictureTokens { tokens: Arc::new(values.to_vec()), mask: mask.map(<[f32]>::to_vec) }
    }

    fn joined(pictures: &[PictureTokens]) -> Context {
        join(2, text(), pictures, &VariationSettings::default())
    }

    #[test]
    fn a_white_mask_is_none_and_a_hard_one_leaves_tokens_out() {
        let tokens = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let whole = joined(&[picture(&tokens, None)]);
        assert_eq!(joined(&[picture(&tokens, Some(&[1.0; 3]))]), whole);
        assert_eq!(whole.bias(0..4, 4), None);
        let part = joined(&[picture(&tokens, Some(&[1.0, 0.0, 1.0]))]);
        assert_eq!(part, joined(&[picture(&[1.0, 2.0, 5.0, 6.0], None)]));
        let soft = joined(&[picture(&tokens, Some(&[1.0, 0.5, 0.0]))]);
        assert_eq!(soft.tokens, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(soft.for_all, [0.0, 0.0, 0.5_f32.ln()]);
    }

    #[test]
    fn each_of_two_pictures_speaks_in_its_own_half() {
        let (first, second) = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]);
        let halves = joined(&[picture(&first, Some(&[1.0, 0.0])), picture(&second, Some(&[0.0, 1.0]))]);
        assert_eq!(halves.tokens, [1.0, 2.0, 1.0, 2.0, 30.0, 40.0]);
        assert_eq!(halves.for_all, [0.0; 3]);
        let both = joined(&[picture(&first, Some(&[1.0, 1.0])), picture(&second, Some(&[1.0, 1.0]))]);
        assert_eq!(both, joined(&[picture(&first, None), picture(&second, None)]));
        let none = joined(&[picture(&first, Some(&[0.0, 0.0])), picture(&second, Some(&[0.0, 0.5]))]);
        assert_eq!((none.tokens.len(), none.for_all[1]), (4, 0.5_f32.ln()));
    }

    #[test]
    fn each_step_has_its_strength() {
        let spans = vec![StrengthSpan { start: 0.5, end: 1.0, strength: 0.0 }];
        let settings = VariationSettings { redux_strength: 0.5, redux_spans: spans, ..VariationSettings::default() };
        let context = join(2, text(), &[picture(&[1.0, 2.0], None)], &settings);
        let bias = context.bias(1..4, 4).unwrap();
        assert_eq!((bias.redux, bias.for_others), (1..2, vec![0.5_f32.ln(), NOTHING, NOTHING]));
        assert_eq!(join(2, text(), &[], &settings).bias(0..4, 4), None, "nothing to weigh");
        let repeated = Text { repeated: 512, ..text() };
        assert_eq!(Context::of_text(repeated).bias(0..1, 1).unwrap().for_all, [512.0_f32.ln()]);
    }

    proptest! {
        #[test]
        fn tokens_keep_their_scale_under_any_masks(masks in proptest::collection::vec(0.0_f32..=1.0, 2..5)) {
            let pictures: Vec<_> = masks.iter().map(|mask| picture(&[0.5, -0.25], Some(&[*mask]))).collect();
            let context = joined(&pictures);
            let most = masks.iter().copied().fold(0.0, f32::max);
            prop_assert_eq!(context.tokens.len(), if most > 0.0 { 4 } else { 2 });
            if most > 0.0 {
                prop_assert!((context.tokens[2] - 0.5).abs() < 1e-5 && (context.tokens[3] + 0.25).abs() < 1e-5);
                prop_assert_eq!(context.for_all[1], most.ln().max(NOTHING));
            }
        }
    }
}
