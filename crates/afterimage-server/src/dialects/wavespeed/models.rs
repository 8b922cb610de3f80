//! The models this dialect offers and their parameters.

use crate::dialects::{Flow, Model, PLAIN_NAMES};
use crate::parameters::common::{
    BRIGHT_MASK, balance, further_pictures, guidance, loras, near_seed, num_images, output_format, painting,
    redux_downsample, redux_spans, redux_strength, required_prompt, restyling_prompt, safety_checker, seed, steps,
    strength, variation_controls,
};
use crate::parameters::{Kind, Parameter};
use afterimage_core::Size;

/// The service's documents end there.
const HIGHEST_SEED: u64 = 0x7fff_ffff;

/// All models, in the catalogue's order.
pub static MODELS: [Model; 3] = [
    Model {
        id: "wavespeed-ai/flux-redux-pro",
        name: "FLUX Redux Pro",
        description: "Variations of a picture, restyled by an optional prompt. The pro weights are closed: the open \
                      Redux model runs under this model's contract.",
        flow: Flow::Variation,
        make_parameters: || redux(5.0),
    },
    Model {
        id: "wavespeed-ai/flux-redux-dev",
        name: "FLUX Redux Dev",
        description: "Variations of a picture with the open FLUX.1 Redux adapter.",
        flow: Flow::Variation,
        make_parameters: || redux(20.0),
    },
    Model {
        id: "wavespeed-ai/flux-srpo/image-to-image",
        name: "FLUX SRPO Image To Image",
        description: "Reshapes a picture towards a prompt; without a picture, makes one from the prompt alone.",
        flow: Flow::ImageToImage,
        make_parameters: image_to_image,
    },
];

fn redux(highest_guidance: f64) -> Vec<Parameter> {
    let mut parameters = vec![
        Parameter::required("image", Kind::Picture, "The picture to vary: URL, data URI or base64."),
        restyling_prompt(),
        Parameter::optional(
            "size",
            Kind::Size { side: 256..=1536, default: Some(Size::new(1024, 1024)), separator: '*' },
            "Pixels of the results, WIDTH*HEIGHT; rounded down to multiples of 16.",
        ),
        seed(HIGHEST_SEED),
        steps(28),
        guidance(1.0..=highest_guidance),
        num_images(),
        loras(),
    ];
    parameters.extend([balance(), redux_strength(), redux_spans(), redux_downsample()]);
    parameters.extend(further_pictures("images"));
    parameters.extend(variation_controls(PLAIN_NAMES.masks, PLAIN_NAMES.start));
    parameters.extend(near_seed(HIGHEST_SEED));
    parameters.extend(delivery());
    parameters
}

fn image_to_image() -> Vec<Parameter> {
    let mut parameters = vec![
        required_prompt(),
        Parameter::optional(
            "image",
            Kind::Picture,
            "The picture to reshape: URL, data URI or base64. The result has its size. Without it the prompt alone \
             makes a picture of 1024*1024.",
        ),
        strength(0.8),
        steps(28),
        seed(HIGHEST_SEED),
        guidance(1.0..=20.0),
        num_images(),
        loras(),
    ];
    parameters.extend(painting(PLAIN_NAMES.mask, BRIGHT_MASK, false));
    parameters.extend(near_seed(HIGHEST_SEED));
    parameters.extend(delivery());
    parameters
}

/// What every model takes besides the picture's own settings.
fn delivery() -> Vec<Parameter> {
    vec![
        safety_checker(),
        output_format("jpeg"),
        Parameter::optional(
            "enable_base64_output",
            Kind::Switch { default: false },
            "Return the results as base64 instead of URLs.",
        ),
        Parameter::optional("enable_sync_mode", Kind::Switch { default: false }, "Answer when the results are there."),
    ]
}
