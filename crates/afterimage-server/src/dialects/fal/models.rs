//! The models this dialect offers and their parameters.

use crate::dialects::{Flow, Model, PictureNames, generation};
use crate::parameters::common::{
    BRIGHT_MASK, balance, further_pictures, guidance, loras, near_seed, num_images, output_format, painting,
    redux_downsample, redux_spans, redux_strength, required_prompt, restyling_prompt, safety_checker, seed, steps,
    strength, variation_controls,
};
use crate::parameters::{Kind, Parameter, Values};
use afterimage_core::{Enlarge, Field, GenerationRequest, PictureRole, Size, Task};

/// All models.
pub static MODELS: [Model; 6] = [
    Model {
        id: "fal-ai/flux-1/dev/redux",
        name: "FLUX.1 Redux dev",
        description: "Variations of a picture with the open FLUX.1 Redux adapter.",
        flow: Flow::Variation,
        make_parameters: || dev("jpeg"),
    },
    Model {
        id: "fal-ai/flux/dev/redux",
        name: "FLUX.1 Redux dev, older id",
        description: "The same under its older id, whose results are PNG unless asked otherwise.",
        flow: Flow::Variation,
        make_parameters: || dev("png"),
    },
    Model {
        id: "fal-ai/flux-pro/v1.1/redux",
        name: "FLUX1.1 Redux pro",
        description: "Variations of a picture, restyled by an optional prompt. The pro weights are closed: the open \
                      Redux model runs under this model's contract.",
        flow: Flow::Variation,
        make_parameters: pro,
    },
    Model {
        id: ULTRA,
        name: "FLUX1.1 Redux pro ultra",
        description: "Variations of up to four megapixels: made at about one, then enlarged and refined by \
                      image-to-image. The pro weights are closed: the open Redux model runs under this model's contract.",
        flow: Flow::Variation,
        make_parameters: ultra,
    },
    Model {
        id: "fal-ai/flux-1/srpo/image-to-image",
        name: "FLUX.1 SRPO image to image",
        description: "Reshapes a picture towards a prompt.",
        flow: Flow::ImageToImage,
        make_parameters: image_to_image,
    },
    Model {
        id: "fal-ai/flux/srpo/image-to-image",
        name: "FLUX.1 SRPO image to image, older id",
        description: "The same under its older id.",
        flow: Flow::ImageToImage,
        make_parameters: image_to_image,
    },
];

/// How this dialect calls the pictures of a request.
pub const PICTURES: PictureNames = PictureNames {
    first: "image_url",
    further: "image_urls",
    masks: "image_mask_urls",
    start: "init_image_url",
    mask: "mask_url",
};

/// The query parameter with the address that is told the end.
pub const WEBHOOK: &str = "fal_webhook";

const ULTRA: &str = "fal-ai/flux-pro/v1.1-ultra/redux";

/// The service's named sizes.
const PRESETS: [(&str, Size); 6] = [
    ("square_hd", Size::new(1024, 1024)),
    ("square", Size::new(512, 512)),
    ("portrait_4_3", Size::new(768, 1024)),
    ("portrait_16_9", Size::new(576, 1024)),
    ("landscape_4_3", Size::new(1024, 768)),
    ("landscape_16_9", Size::new(1024, 576)),
];

/// The service's aspect ratios of the ultra model and what they mean in pixels.
const ASPECT_RATIOS: [(&str, Size); 9] = [
    ("21:9", Size::new(3136, 1344)),
    ("16:9", Size::new(2752, 1536)),
    ("4:3", Size::new(2368, 1792)),
    ("3:2", Size::new(2496, 1664)),
    ("1:1", Size::new(2048, 2048)),
    ("2:3", Size::new(1664, 2496)),
    ("3:4", Size::new(1792, 2368)),
    ("9:16", Size::new(1536, 2752)),
    ("9:21", Size::new(1344, 3136)),
];

/// Pixels of an ultra picture's first pass: about what the models were trained on.
const ULTRA_FIRST_PASS: u64 = 1 << 20;

/// Guidance of `raw`: less of the polished look that strong guidance gives. How the hosted model does it is not known.
const RAW_GUIDANCE: f64 = 2.5;

fn dev(format: &'static str) -> Vec<Parameter> {
    let mut parameters = vec![picture(), image_size(), steps(28), seed(u64::MAX), guidance(1.0..=20.0)];
    parameters.extend([sync_mode(), num_images(), safety_checker(), output_format(format), acceleration(), loras()]);
    parameters.extend([balance(), redux_strength(), redux_spans(), redux_downsample()]);
    parameters.extend(controls());
    parameters
}

/// What every model of variations takes beside the service's own.
fn controls() -> Vec<Parameter> {
    let mut parameters = further_pictures(PICTURES.further).to_vec();
    parameters.extend(variation_controls(PICTURES.masks, PICTURES.start));
    parameters.extend(near_seed(u64::MAX));
    parameters
}

fn pro() -> Vec<Parameter> {
    let mut parameters = vec![restyling_prompt(), image_size(), steps(28), seed(u64::MAX), guidance(1.0..=20.0)];
    parameters.extend([sync_mode(), num_images(), output_format("jpeg"), safety_tolerance(), enhance_prompt()]);
    parameters.extend([picture(), loras(), balance(), redux_strength(), redux_spans(), redux_downsample()]);
    parameters.extend(controls());
    parameters
}

fn ultra() -> Vec<Parameter> {
    let mut parameters = vec![
        restyling_prompt(),
        seed(u64::MAX),
        sync_mode(),
        num_images(),
        output_format("jpeg"),
        safety_checker(),
        safety_tolerance(),
        enhance_prompt(),
        picture(),
        Parameter::optional(
            "image_prompt_strength",
            Kind::Number { range: 0.0..=1.0, default: 0.1 },
            "Weight of the picture against the prompt; 1 leaves the prompt out. Without a prompt it has no effect.",
        ),
        Parameter::optional(
            "aspect_ratio",
            Kind::Choice {
                options: &["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"],
                aliases: &[],
                default: "16:9",
            },
            "Shape of the results, of about four megapixels.",
        ),
        Parameter::optional(
            "raw",
            Kind::Switch { default: false },
            "A less processed look: guidance 2.5 instead of 3.5.",
        ),
        loras(),
        redux_downsample(),
    ];
    parameters.extend(controls());
    parameters
}

fn image_to_image() -> Vec<Parameter> {
    let mut parameters = vec![picture(), strength(0.95), steps(40), seed(u64::MAX), guidance(1.0..=20.0), sync_mode()];
    parameters.extend([required_prompt(), num_images(), safety_checker(), output_format("jpeg"), acceleration()]);
    parameters.push(loras());
    parameters.extend(painting(PICTURES.mask, BRIGHT_MASK, false));
    parameters.extend(near_seed(u64::MAX));
    parameters
}

fn picture() -> Parameter {
    Parameter::required("image_url", Kind::Picture, "The picture: URL or data URI.")
}

fn image_size() -> Parameter {
    Parameter::optional(
        "image_size",
        Kind::NamedSize { presets: &PRESETS, default: "landscape_4_3", side: 16..=2048, absent_side: 512 },
        "Size of the results; rounded down to multiples of 16.",
    )
}

fn sync_mode() -> Parameter {
    Parameter::optional(
        "sync_mode",
        Kind::Switch { default: false },
        "Return the pictures as data URIs; in the gateway form: wait for them.",
    )
}

fn safety_tolerance() -> Parameter {
    Parameter::optional(
        "safety_tolerance",
        Kind::Choice { options: &["1", "2", "3", "4", "5", "6"], aliases: &[], default: "2" },
        "Accepted; the operator sets the threshold.",
    )
}

fn enhance_prompt() -> Parameter {
    Parameter::optional("enhance_prompt", Kind::Switch { default: false }, "Accepted; the prompt is used as it is.")
}

fn acceleration() -> Parameter {
    Parameter::optional(
        "acceleration",
        Kind::Choice { options: &["none", "regular", "high"], aliases: &[], default: "none" },
        "Accepted; every step is computed in full.",
    )
}

/// The request that `values` of `model` describe, of pictures in these roles.
pub fn request(model: &Model, values: &Values, roles: &[PictureRole]) -> GenerationRequest {
    let mut request = generation(model.flow, values, values.size("image_size"), roles);
    if model.id != ULTRA {
        return request;
    }
    let ratio = values.text("aspect_ratio").unwrap_or("16:9");
    request.size = ASPECT_RATIOS.iter().find(|(name, _)| *name == ratio).map(|(_, size)| *size);
    request.enlarge = Enlarge::FromPixels(ULTRA_FIRST_PASS);
    if values.switch("raw") {
        request.guidance = RAW_GUIDANCE;
    }
    let strength = values.number("image_prompt_strength").unwrap_or(0.1);
    if request.prompt_text().is_some() {
        if strength >= 1.0 {
            request.prompt = None;
        } else if let Task::Variation(settings) = &mut request.task {
            settings.redux_strength = strength;
        }
    }
    request
}

/// The engine's fields in this dialect.
pub const fn field_name(field: Field) -> &'static str {
    match field {
        Field::Image => PICTURES.first,
        Field::ImageMask => PICTURES.masks,
        Field::Start => PICTURES.start,
        Field::Mask => PICTURES.mask,
        Field::Size => "image_size",
        Field::Steps
        | Field::Guidance
        | Field::MaskBlur
        | Field::CropPadding
        | Field::VariationStrength
        | Field::ImageWeight
        | Field::Prompt
        | Field::NumImages
        | Field::Enlarge
        | Field::Strength
        | Field::ReduxStrength
        | Field::ReduxSpans
        | Field::ReduxDownsample
        | Field::Redux
        | Field::Model
        | Field::Loras
        | Field::Repeat => crate::dialects::field_name(field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{Numbers, parse_with};
    use serde_json::{Value, json};

    fn made(id: &str, body: &Value) -> GenerationRequest {
        let model = Model::find(&MODELS, id).unwrap();
        let values = parse_with(Numbers::OrText, &model.parameters(), body.as_object().unwrap()).unwrap();
        request(model, &values, &[PictureRole::Picture])
    }

    #[test]
    fn nulls_mean_the_services_defaults() {
        let body = json!({
            "image_url": "x", "image_size": null, "num_inference_steps": null, "seed": null, "guidance_scale": null,
            "sync_mode": null, "num_images": null, "enable_safety_checker": null,
        });
        let request = made("fal-ai/flux-1/dev/redux", &body);
        assert_eq!(request.size, Some(Size::new(1024, 768)));
        assert_eq!((request.steps, request.num_images, request.seed), (28, 1, None));
        let reshaped = made("fal-ai/flux-1/srpo/image-to-image", &json!({"image_url": "x", "prompt": "y"}));
        assert_eq!(reshaped.task, Task::ImageToImage { strength: 0.95 });
        assert_eq!((reshaped.steps, reshaped.size), (40, None));
    }

    #[test]
    fn ultra_is_made_in_two_passes_of_four_megapixels() {
        for (ratio, size) in ASPECT_RATIOS {
            let request = made(ULTRA, &json!({"image_url": "x", "aspect_ratio": ratio}));
            assert_eq!(request.size, Some(size), "{ratio}");
            let pixels = u64::from(size.width) * u64::from(size.height);
            assert!((4_100_000..4_300_000).contains(&pixels), "{ratio}: {pixels}");
            assert_eq!(request.enlarge, Enlarge::FromPixels(1 << 20));
        }
        assert_eq!(made(ULTRA, &json!({"image_url": "x"})).size, Some(Size::new(2752, 1536)));
    }

    #[test]
    fn ultra_weighs_the_picture_against_the_prompt() {
        let strength = |body: Value| match made(ULTRA, &body).task {
            Task::Variation(settings) => settings.redux_strength,
            other => panic!("{other:?}"),
        };
        assert!((strength(json!({"image_url": "x"})) - 1.0).abs() < 1e-9, "nothing to weigh against");
        assert!((strength(json!({"image_url": "x", "prompt": "y"})) - 0.1).abs() < 1e-9);
        let alone = made(ULTRA, &json!({"image_url": "x", "prompt": "y", "image_prompt_strength": 1, "raw": true}));
        assert_eq!((alone.prompt, alone.guidance), (None, RAW_GUIDANCE));
    }
}
