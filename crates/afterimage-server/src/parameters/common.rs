//! Parameters that several dialects have under the same name and with the same meaning.

use super::parameter::{Kind, Parameter};
use afterimage_core::limits;
use std::ops::RangeInclusive;

/// `prompt`: optional text that restyles variations.
pub fn restyling_prompt() -> Parameter {
    Parameter::optional("prompt", Kind::Text { max_bytes: limits::PROMPT_BYTES }, "Text that restyles the variations.")
}

/// `prompt`: what the result of image-to-image should show.
pub fn required_prompt() -> Parameter {
    Parameter::required("prompt", Kind::Text { max_bytes: limits::PROMPT_BYTES }, "What the result should show.")
}

/// `seed` up to `highest`, which services differ in. What is drawn is at most 2147483647 everywhere.
pub fn seed(highest: u64) -> Parameter {
    Parameter::optional(
        "seed",
        Kind::Seed { highest },
        "Seed of the noise; -1 or none draws one. Its lower 32 bits decide.",
    )
}

/// `num_inference_steps`.
pub fn steps(default: i64) -> Parameter {
    Parameter::optional(
        "num_inference_steps",
        Kind::Integer { range: whole(limits::STEPS), default: Some(default) },
        "Sampling steps.",
    )
}

/// `guidance_scale`.
pub fn guidance(range: RangeInclusive<f64>) -> Parameter {
    Parameter::optional("guidance_scale", Kind::Number { range, default: 3.5 }, "How closely to follow the condition.")
}

/// `num_images`.
pub fn num_images() -> Parameter {
    num_images_called("num_images")
}

/// `num_images` under another name.
pub fn num_images_called(name: &'static str) -> Parameter {
    let kind = Kind::Integer { range: whole(limits::NUM_IMAGES), default: Some(1) };
    Parameter::optional(name, kind, "Pictures to make.")
}

/// `strength`.
pub fn strength(default: f64) -> Parameter {
    Parameter::optional(
        "strength",
        Kind::Number { range: limits::STRENGTH, default },
        "How far to move away from the picture.",
    )
}

/// `output_format`.
pub fn output_format(default: &'static str) -> Parameter {
    Parameter::optional(
        "output_format",
        Kind::Choice { options: &["jpeg", "png"], aliases: &[("jpg", "jpeg")], default },
        "File format of the results.",
    )
}

/// `enable_safety_checker`.
pub fn safety_checker() -> Parameter {
    Parameter::optional(
        "enable_safety_checker",
        Kind::Switch { default: true },
        "Have a safety checker look at the results and withhold what it flags: a filter, not a guarantee. `false` changes \
         nothing where the operator requires the check.",
    )
}

/// `loras`: in fal's and `WaveSpeed`'s form, with a name where they have an address.
pub fn loras() -> Parameter {
    Parameter::optional(
        "loras",
        Kind::Loras,
        "LoRAs that are added to the model for this request: each one's name in the server's folder, without `.safetensors`, \
         and how much of it.",
    )
}

/// `redux_strength`, which no service has.
pub fn redux_strength() -> Parameter {
    Parameter::optional(
        "redux_strength",
        Kind::Number { range: limits::REDUX_STRENGTH, default: 1.0 },
        "An addition: weight of the picture against the prompt in attention. 0 leaves the picture out.",
    )
}

/// `redux_downsample`, which no service has.
pub fn redux_downsample() -> Parameter {
    Parameter::optional(
        "redux_downsample",
        Kind::Number { range: limits::REDUX_DOWNSAMPLE, default: 1.0 },
        "An addition: how much coarser the model sees the picture. 3 keeps colours and mood and leaves the composition free.",
    )
}

/// Pictures beside the first one under `name`, and what each counts, which no service has.
pub fn further_pictures(name: &'static str) -> [Parameter; 2] {
    [
        Parameter::optional(
            name,
            Kind::Pictures { most: limits::SOURCES.end() - 1 },
            "An addition: further pictures that are mixed with the first.",
        ),
        Parameter::optional(
            IMAGE_WEIGHTS,
            Kind::NumberList { range: limits::IMAGE_WEIGHT, most: *limits::SOURCES.end() },
            "An addition: what each picture counts, the first one's number first. Without it all count alike, 1 together.",
        ),
    ]
}

/// What each picture counts.
pub const IMAGE_WEIGHTS: &str = "image_weights";

/// A range of the engine's as parameters have it.
fn whole(range: RangeInclusive<u32>) -> RangeInclusive<i64> {
    let (low, high) = range.into_inner();
    low.into()..=high.into()
}

/// `balance`, which no service has.
pub fn balance() -> Parameter {
    Parameter::optional(
        BALANCE,
        Kind::Choice {
            options: &["custom", "picture", "more-picture", "even", "more-prompt", "prompt"],
            aliases: &[],
            default: "custom",
        },
        "An addition: picture against prompt in one word, in place of redux_strength and redux_downsample; custom leaves \
         these as they are.",
    )
}

/// The level of picture against prompt.
pub const BALANCE: &str = "balance";

/// `redux_strength_spans`, which no service has.
pub fn redux_spans() -> Parameter {
    Parameter::optional(
        REDUX_SPANS,
        Kind::StrengthSpans,
        "An addition: another redux_strength for parts of the run, as STRENGTH@START:END in shares of the steps, \
         separated by commas: `1@0:0.3,0.4@0.3:1` lets the picture set the composition and the prompt the rest.",
    )
}

/// Strengths of parts of the run.
pub const REDUX_SPANS: &str = "redux_strength_spans";

/// `variation_seed` up to `highest`, and `variation_strength`, which no service has.
pub fn near_seed(highest: u64) -> [Parameter; 2] {
    [
        Parameter::optional(
            VARIATION_SEED,
            Kind::Seed { highest },
            "An addition: a second seed, towards which the noise of `seed` is turned; -1 or none draws one. It counts only \
             with variation_strength.",
        ),
        Parameter::optional(
            VARIATION_STRENGTH,
            Kind::Number { range: limits::VARIATION_STRENGTH, default: 0.0 },
            "An addition: how far from `seed` to the second seed. 0.1 stays near a result; several pictures then all start \
             from the first one's noise.",
        ),
    ]
}

/// A second seed.
pub const VARIATION_SEED: &str = "variation_seed";

/// How far towards it.
pub const VARIATION_STRENGTH: &str = "variation_strength";

/// Masks of the pictures under `masks`, what a variation starts from under `start`, and how far it moves from there, which
/// no service has.
pub fn variation_controls(masks: &'static str, start: &'static str) -> [Parameter; 3] {
    [
        Parameter::optional(
            masks,
            Kind::Pictures { most: *limits::SOURCES.end() },
            "An addition: a mask for each picture, in their order: white speaks, black does not. `none` where there is none.",
        ),
        Parameter::optional(
            start,
            Kind::Picture,
            "An addition: start from this picture instead of noise; the result has its composition.",
        ),
        Parameter::optional(
            "strength",
            Kind::Number { range: limits::STRENGTH, default: 0.8 },
            "An addition: how far to move away from the picture that is started from; without one it has no effect.",
        ),
    ]
}

/// The mask of image-to-image under `mask` and its settings; `keeps_outside`: whether what it leaves out is kept to the
/// pixel unless asked otherwise.
pub fn painting(mask: &'static str, mask_description: &'static str, keeps_outside: bool) -> [Parameter; 4] {
    [
        Parameter::optional(mask, Kind::Picture, mask_description),
        Parameter::optional(
            MASK_BLUR,
            Kind::Number { range: limits::MASK_BLUR, default: 0.0 },
            "An addition: radius in pixels by which the mask is blurred first.",
        ),
        Parameter::optional(
            MASK_CROP,
            Kind::Integer { range: whole(limits::CROP_PADDING), default: None },
            "An addition: work on the masked part alone, enlarged, with so many pixels around it.",
        ),
        Parameter::optional(
            KEEP_OUTSIDE,
            Kind::Switch { default: keeps_outside },
            "An addition: keep the picture's own pixels where the mask leaves it as it is.",
        ),
    ]
}

/// What a mask in the form of most services means.
pub const BRIGHT_MASK: &str =
    "An addition: a mask; only what is white in it is changed, and what is black or transparent stays.";

/// By how much the mask is blurred.
pub const MASK_BLUR: &str = "mask_blur";

/// How much around the masked part is seen.
pub const MASK_CROP: &str = "mask_crop";

/// Whether what is not masked stays to the pixel.
pub const KEEP_OUTSIDE: &str = "keep_outside";
