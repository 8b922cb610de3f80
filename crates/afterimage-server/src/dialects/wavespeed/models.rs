//! The models this dialect offers and their parameters.

use crate::dialects::parameters::{Kind, Parameter};
use afterimage_core::Size;

/// What a model does with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// FLUX Redux.
    Variation,
    /// Image-to-image; text-to-image when no picture comes.
    ImageToImage,
}

/// One model of the catalogue.
#[derive(Debug)]
pub struct Model {
    /// Id in paths and answers.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// What it does and on which weights.
    pub description: &'static str,
    /// What happens with a request.
    pub flow: Flow,
    parameters: fn() -> Vec<Parameter>,
}

impl Model {
    /// The parameters, in the order of the service's documentation.
    pub fn parameters(&self) -> Vec<Parameter> {
        (self.parameters)()
    }

    /// The model with `id`.
    pub fn find(id: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.id == id)
    }
}

/// All models, in the catalogue's order.
pub static MODELS: [Model; 3] = [
    Model {
        id: "wavespeed-ai/flux-redux-pro",
        name: "FLUX Redux Pro",
        description: "Variations of a picture, restyled by an optional prompt. The pro weights are closed: the open \
                      Redux model runs under this model's contract.",
        flow: Flow::Variation,
        parameters: || redux(5.0),
    },
    Model {
        id: "wavespeed-ai/flux-redux-dev",
        name: "FLUX Redux Dev",
        description: "Variations of a picture with the open FLUX.1 Redux adapter.",
        flow: Flow::Variation,
        parameters: || redux(20.0),
    },
    Model {
        id: "wavespeed-ai/flux-srpo/image-to-image",
        name: "FLUX SRPO Image To Image",
        description: "Reshapes a picture towards a prompt; without a picture, makes one from the prompt alone.",
        flow: Flow::ImageToImage,
        parameters: image_to_image,
    },
];

/// Bytes of prompt text.
const PROMPT_BYTES: usize = 64 * 1024;

fn redux(highest_guidance: f64) -> Vec<Parameter> {
    let mut parameters = vec![
        Parameter::required("image", Kind::Picture, "The picture to vary: URL, data URI or base64."),
        Parameter::optional("prompt", Kind::Text { max_bytes: PROMPT_BYTES }, "Text that restyles the variations."),
        Parameter::optional(
            "size",
            Kind::Size { side: 256..=1536, default: Size::new(1024, 1024) },
            "Pixels of the results, WIDTH*HEIGHT; rounded down to multiples of 16.",
        ),
        seed(),
        steps(),
        Parameter::optional(
            "guidance_scale",
            Kind::Number { range: 1.0..=highest_guidance, default: 3.5 },
            "How closely to follow picture and prompt.",
        ),
        num_images(),
    ];
    parameters.extend(delivery());
    parameters
}

fn image_to_image() -> Vec<Parameter> {
    let mut parameters = vec![
        Parameter::required("prompt", Kind::Text { max_bytes: PROMPT_BYTES }, "What the result should show."),
        Parameter::optional(
            "image",
            Kind::Picture,
            "The picture to reshape: URL, data URI or base64. The result has its size. Without it the prompt alone \
             makes a picture of 1024*1024.",
        ),
        Parameter::optional(
            "strength",
            Kind::Number { range: 0.0..=1.0, default: 0.8 },
            "How far to move away from the picture.",
        ),
        steps(),
        seed(),
        Parameter::optional(
            "guidance_scale",
            Kind::Number { range: 1.0..=20.0, default: 3.5 },
            "How closely to follow the prompt.",
        ),
        num_images(),
    ];
    parameters.extend(delivery());
    parameters
}

fn seed() -> Parameter {
    Parameter::optional(
        "seed",
        Kind::Integer { range: -1..=i64::from(i32::MAX), default: None },
        "Seed of the noise; -1 or none draws one.",
    )
}

fn steps() -> Parameter {
    Parameter::optional("num_inference_steps", Kind::Integer { range: 1..=50, default: Some(28) }, "Sampling steps.")
}

fn num_images() -> Parameter {
    Parameter::optional("num_images", Kind::Integer { range: 1..=4, default: Some(1) }, "Pictures to make.")
}

/// What every model takes besides the picture's own settings.
fn delivery() -> Vec<Parameter> {
    vec![
        Parameter::optional(
            "enable_safety_checker",
            Kind::Switch { default: true },
            "Accepted; no checker is installed, so has_nsfw_contents stays empty.",
        ),
        Parameter::optional(
            "output_format",
            Kind::Choice { options: &["jpeg", "png"], default: "jpeg" },
            "File format of the results.",
        ),
        Parameter::optional(
            "enable_base64_output",
            Kind::Switch { default: false },
            "Return the results as base64 instead of URLs.",
        ),
        Parameter::optional("enable_sync_mode", Kind::Switch { default: false }, "Answer when the results are there."),
    ]
}
