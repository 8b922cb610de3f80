//! Masks and mixtures against what they stand for.

use super::Networks;
use super::context::{Context, PictureTokens, join};
use super::encode::{as_requested, encode_picture, encode_text};
use super::tests::{engine, input, networks};
use crate::engine::Engine;
use crate::models::flux::{ConditioningInputs, Grid, TokenBias};
use crate::observer::Silent;
use crate::parity::{Case, cases, relative_difference};
use crate::sampling::TorchGenerator;
use afterimage_core::{
    Error, Field, GenerationRequest, InpaintSettings, Picture, PictureRole, Size, StrengthSpan, Task, VariationSeed,
    VariationSettings,
};
use afterimage_device::Cpu;

const GRID: Grid = Grid { rows: 3, columns: 2 };

fn case() -> Case {
    cases().into_iter().find(|case| case.name == "vary-prompt").unwrap()
}

fn grey(width: u32, height: u32, of: impl Fn(u32, u32) -> u8) -> Picture {
    let pixels = (0..width * height).flat_map(|index| [of(index % width, index / width); 3]).collect();
    Picture::from_rgb(width, height, pixels).unwrap()
}

/// The velocity under `context` with `bias`, from noise.
fn velocity(networks: &Networks<Cpu>, context: &[f32], pooled: &[f32], bias: Option<TokenBias>) -> Vec<f32> {
    let transformer = networks.transformer(networks.fixed()).unwrap();
    let inputs = ConditioningInputs { context, pooled, timesteps: &[0.7], guidance: 3.5, grid: GRID, bias };
    let conditioning = transformer.condition(&inputs).unwrap();
    let mut workspace = transformer.workspace(&conditioning).unwrap();
    let numbers = GRID.tokens() * 4 * networks.files().vae().latent_channels;
    let latents = TorchGenerator::new(11).randn_f32(numbers);
    let mut velocity = vec![0.0; numbers];
    transformer.forward(&conditioning, 0, &latents, &mut workspace, &mut velocity).unwrap();
    velocity
}

fn velocity_under(networks: &Networks<Cpu>, context: &Context) -> Vec<f32> {
    velocity(networks, &context.tokens, &context.pooled, context.bias(0..1, 1))
}

/// The context of the case's picture under `mask`.
fn masked(networks: &Networks<Cpu>, case: &Case, mask: Option<&Picture>, downsample: f64) -> Context {
    let width = networks.files().flux().joint_attention_dim;
    let tokens = encode_picture(networks, &input(case)).unwrap().into();
    let tokens = as_requested(tokens, width, mask, downsample).unwrap();
    let text = encode_text(networks, networks.fixed(), "a lake").unwrap();
    join(width, text, &[tokens], &VariationSettings::default())
}

#[test]
fn a_hard_mask_is_as_if_the_other_tokens_were_not_there() {
    let case = case();
    let networks = networks(&case);
    let width = networks.files().flux().joint_attention_dim;
    let whole = masked(&networks, &case, None, 1.0);
    let text_tokens = encode_text(&networks, networks.fixed(), "a lake").unwrap().tokens.len() / width;
    let side = (whole.tokens.len() / width - text_tokens).isqrt();
    // The left half, by cells of the grid.
    let left = |x: u32, _| if (x as usize) < side / 2 { 255 } else { 0 };
    let mask = grey(side as u32, side as u32, left);
    let found = masked(&networks, &case, Some(&mask), 1.0);
    let speaks = |token: usize| token < text_tokens || (token - text_tokens) % side < side / 2;
    let tokens = whole.tokens.chunks_exact(width).enumerate();
    let removed: Vec<f32> = tokens.filter(|(token, _)| speaks(*token)).flat_map(|(_, token)| token.to_vec()).collect();
    assert_eq!(found.tokens, removed);
    // The oracle: all tokens, those outside the mask unseen by everybody.
    let all = whole.tokens.len() / width;
    let bias = TokenBias {
        for_all: (0..all).map(|token| if speaks(token) { 0.0 } else { -1e4 }).collect(),
        redux: text_tokens..all,
        for_others: vec![0.0],
    };
    let expected = velocity(&networks, &whole.tokens, &whole.pooled, Some(bias));
    let difference = relative_difference(&velocity_under(&networks, &found), &expected);
    assert!(difference < 1e-5, "{difference}");
    let unmasked = relative_difference(&velocity_under(&networks, &whole), &expected);
    assert!(unmasked > 1e-3, "the mask changes something: {unmasked}");
}

#[test]
fn the_darker_a_mask_the_less_its_picture_counts() {
    let case = case();
    let networks = networks(&case);
    let whole = velocity_under(&networks, &masked(&networks, &case, None, 1.0));
    let width = networks.files().flux().joint_attention_dim;
    let text = encode_text(&networks, networks.fixed(), "a lake").unwrap();
    let nothing = velocity_under(&networks, &join(width, text, &[], &VariationSettings::default()));
    let distances = |grey_level: u8| {
        let mask = grey(5, 3, |_, _| grey_level);
        let found = velocity_under(&networks, &masked(&networks, &case, Some(&mask), 2.0));
        let full = velocity_under(&networks, &masked(&networks, &case, None, 2.0));
        (relative_difference(&found, &full), relative_difference(&found, &nothing))
    };
    let levels = [255, 192, 128, 64, 16, 1].map(distances);
    assert!(levels[0].0 <= 0.0, "white is no mask");
    assert!(levels.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1), "{levels:?}");
    assert!(relative_difference(&whole, &nothing) > 0.0);
}

#[test]
fn a_black_mask_is_refused_by_name() {
    let case = case();
    let request = GenerationRequest {
        roles: vec![PictureRole::Picture, PictureRole::PictureMask],
        steps: 1,
        size: Some(Size::new(32, 32)),
        ..GenerationRequest::new(Task::Variation(VariationSettings::default()))
    };
    let sources = [input(&case), grey(1, 1, |_, _| 0)];
    let error = engine(&case).generate(&request, &sources, &Silent).unwrap_err();
    assert!(matches!(error, Error::Field { field: Field::ImageMask, .. }), "{error}");
}

/// Pictures of `change` upon a short request of `task`.
fn made(engine: &Engine, task: Task, sources: &[Picture], change: impl FnOnce(&mut GenerationRequest)) -> Vec<Picture> {
    let mut request = GenerationRequest {
        prompt: Some("a lake".to_owned()),
        size: Some(Size::new(48, 32)),
        steps: 4,
        seed: Some(3),
        ..GenerationRequest::new(task)
    };
    change(&mut request);
    engine.generate(&request, sources, &Silent).unwrap().pictures
}

fn variation(change: impl FnOnce(&mut VariationSettings)) -> Task {
    let mut settings = VariationSettings::default();
    change(&mut settings);
    Task::Variation(settings)
}

#[test]
fn strengths_of_parts_of_the_run_are_what_they_are_for_the_whole() {
    let case = case();
    let (engine, sources) = (engine(&case), [input(&case)]);
    let of = |strength: f64, spans: &[[f64; 3]]| {
        let span = |[start, end, strength]: &[f64; 3]| StrengthSpan { start: *start, end: *end, strength: *strength };
        let task = variation(|settings| {
            settings.redux_strength = strength;
            settings.redux_spans = spans.iter().map(span).collect();
        });
        made(&engine, task, &sources, |_| {}).remove(0)
    };
    let (weak, strong) = (of(0.25, &[]), of(1.0, &[]));
    assert_eq!(of(1.0, &[[0.0, 1.0, 0.25]]), weak);
    assert_eq!(of(0.25, &[[0.0, 0.5, 1.0], [0.5, 1.0, 1.0]]), strong);
    let halves = of(0.25, &[[0.0, 0.5, 1.0]]);
    assert!(halves != weak && halves != strong);
    assert_eq!(of(1.0, &[[0.5, 1.0, 0.25]]), halves, "from either side");
    // Nothing of the pictures for the first step only, and for all.
    assert_ne!(of(1.0, &[[0.0, 0.25, 0.0]]), strong);
    let masked = of(1.0, &[[0.0, 1.0, 0.0]]);
    assert_eq!(masked, of(0.0, &[]));
}

#[test]
fn a_variation_may_start_from_a_picture() {
    let case = case();
    let engine = engine(&case);
    let (picture, start) = (input(&case), grey(48, 32, |x, y| (4 * x + y) as u8));
    let with = |start: &Picture, strength: f64| {
        let task = variation(|settings| settings.start_strength = Some(strength));
        let sources = [picture.clone(), start.clone()];
        made(&engine, task, &sources, |request| request.roles = vec![PictureRole::Picture, PictureRole::Start])
            .remove(0)
    };
    assert_eq!(with(&start, 0.0), start, "no step");
    // Of the start only its noise is left, which is drawn all the same.
    let other = grey(48, 32, |x, _| 255 - 5 * x as u8);
    assert_eq!(with(&start, 1.0), with(&other, 1.0));
    assert_ne!(with(&start, 0.75), with(&other, 0.75));
}

#[test]
fn a_second_seed_is_reached_by_degrees() {
    let case = case();
    let (engine, sources) = (engine(&case), [input(&case)]);
    let near = |seed: u64, variation: Option<(u64, f64)>, num_images: u32| {
        made(&engine, variation_task(), &sources, |request| {
            request.seed = Some(seed);
            request.num_images = num_images;
            request.variation_seed = variation.map(|(seed, strength)| VariationSeed { seed: Some(seed), strength });
        })
    };
    let plain = near(3, None, 1);
    assert_eq!(near(3, Some((9, 0.0)), 1), plain);
    assert_eq!(near(3, Some((9, 1.0)), 2), near(9, None, 2));
    let several = near(3, Some((9, 0.2)), 2);
    assert_eq!(several[..1], near(3, Some((9, 0.2)), 1));
    assert!(several[0] != several[1] && several[0] != plain[0]);
}

fn variation_task() -> Task {
    variation(|_| {})
}

/// Inpainting of the case's picture under `mask`.
fn painted(engine: &Engine, case: &Case, mask: Picture, prompt: &str, keep_outside: bool) -> Picture {
    let settings = InpaintSettings { strength: 0.75, keep_outside, ..InpaintSettings::default() };
    made(engine, Task::Inpaint(settings), &[input(case), mask], |request| {
        request.roles = vec![PictureRole::Picture, PictureRole::Mask];
        request.prompt = Some(prompt.to_owned());
    })
    .remove(0)
}

#[test]
fn a_white_mask_is_image_to_image_and_a_black_one_hears_no_prompt() {
    let case = case();
    let engine = engine(&case);
    let sources = [input(&case)];
    let reshaped = made(&engine, Task::ImageToImage { strength: 0.75 }, &sources, |_| {}).remove(0);
    for keep_outside in [false, true] {
        assert_eq!(painted(&engine, &case, grey(1, 1, |_, _| 255), "a lake", keep_outside), reshaped);
    }
    let black = |prompt| painted(&engine, &case, grey(7, 5, |_, _| 0), prompt, false);
    assert_eq!(black("a lake"), black("a red fox"));
}

#[test]
fn outside_the_mask_the_picture_is_kept_to_the_pixel() {
    let case = case();
    let engine = engine(&case);
    let size = Size::new(48, 32);
    let resized = afterimage_imaging::resize(&input(&case), size, afterimage_imaging::Filter::Lanczos).unwrap();
    let mask = grey(48, 32, |x, _| if x < 20 { 0 } else { 255 });
    let kept = painted(&engine, &case, mask.clone(), "a lake", true);
    let rough = painted(&engine, &case, mask, "a lake", false);
    let pixel = |picture: &Picture, index: usize| picture.rgb()[3 * index..3 * index + 3].to_vec();
    for index in 0..48 * 32 {
        let expected = if index % 48 < 20 { &resized } else { &rough };
        assert_eq!(pixel(&kept, index), pixel(expected, index), "pixel {index}");
    }
    assert_ne!(kept, rough, "an autoencoder changes what it sees");
}

#[test]
fn masks_of_any_shape_and_settings_are_taken() {
    let case = case();
    let engine = engine(&case);
    let picture = grey(33, 50, |x, y| (3 * x + y) as u8);
    for (mask, crop_padding) in [
        (grey(1, 1, |_, _| 255), None),
        (grey(300, 2, |x, _| x as u8), Some(0)),
        (grey(33, 50, |x, y| if x == 20 && y == 30 { 255 } else { 0 }), Some(4096)),
        (grey(5, 5, |x, _| 255 * (x % 2) as u8), Some(3)),
    ] {
        let settings = InpaintSettings { strength: 0.5, crop_padding, mask_blur: 2.5, ..InpaintSettings::default() };
        let found = made(&engine, Task::Inpaint(settings), &[picture.clone(), mask.clone()], |request| {
            request.roles = vec![PictureRole::Picture, PictureRole::Mask];
        });
        let expected = if crop_padding.is_some() { picture.size() } else { Size::new(48, 32) };
        assert_eq!(found[0].size(), expected, "{mask:?} {crop_padding:?}");
    }
}

#[test]
fn no_step_gives_the_picture_back_also_where_a_part_was_cut_out() {
    let case = case();
    let engine = engine(&case);
    let picture = grey(48, 32, |x, y| (4 * x + y) as u8);
    let mask = grey(48, 32, |x, y| if x > 30 && y > 20 { 255 } else { 0 });
    for crop_padding in [None, Some(2)] {
        let settings = InpaintSettings { strength: 0.0, crop_padding, ..InpaintSettings::default() };
        let found = made(&engine, Task::Inpaint(settings), &[picture.clone(), mask.clone()], |request| {
            request.roles = vec![PictureRole::Picture, PictureRole::Mask];
        });
        assert_eq!(found, std::slice::from_ref(&picture), "{crop_padding:?}");
    }
}

#[test]
fn several_masked_pictures_speak_where_they_may() {
    let case = case();
    let networks = networks(&case);
    let width = networks.files().flux().joint_attention_dim;
    let tokens = std::sync::Arc::new(encode_picture(&networks, &input(&case)).unwrap());
    let side = (tokens.len() / width).isqrt() as u32;
    let half = |of_left: bool| grey(side, 1, move |x, _| if (x < side / 2) == of_left { 255 } else { 0 });
    let part = |mask: &Picture| as_requested(std::sync::Arc::clone(&tokens), width, Some(mask), 1.0).unwrap();
    let text = || encode_text(&networks, networks.fixed(), "").unwrap();
    // One picture in two halves is the picture.
    let halves = join(width, text(), &[part(&half(true)), part(&half(false))], &VariationSettings::default());
    let whole =
        join(width, text(), &[PictureTokens::whole(std::sync::Arc::clone(&tokens))], &VariationSettings::default());
    let difference = relative_difference(&velocity_under(&networks, &halves), &velocity_under(&networks, &whole));
    assert!(difference < 1e-5, "{difference}");
}
