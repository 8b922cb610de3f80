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
