//! From checked values to a generation request. Settings of the same name mean the same in all dialects.

use super::pictures::PLAIN_NAMES;
use crate::parameters::Values;
use crate::parameters::common::{
    BALANCE, IMAGE_WEIGHTS, KEEP_OUTSIDE, MASK_BLUR, MASK_CROP, REDUX_SPANS, VARIATION_SEED, VARIATION_STRENGTH,
};
use afterimage_core::{
    Field, GenerationRequest, InpaintSettings, MaskReading, PictureBalance, PictureRole, Size, Task, VariationSeed,
    VariationSettings,
};

/// What a model does with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// FLUX Redux.
    Variation,
    /// Image-to-image; text-to-image when no picture comes, where the dialect allows that.
    ImageToImage,
}

/// Size of text-to-image, which has no picture to take it from.
const WITHOUT_PICTURE: Size = Size::new(1024, 1024);

/// The request that `values` describe, of pictures in these roles: `prompt`, `strength`, `num_inference_steps`, `guidance_scale`, `num_images`,
/// `seed`, `loras` and `enable_safety_checker`. Without a `size` the result of image-to-image has its picture's; results of a model
/// without the last are checked.
pub fn generation(flow: Flow, values: &Values, size: Option<Size>, roles: &[PictureRole]) -> GenerationRequest {
    let strength = values.number("strength").unwrap_or(0.8);
    let (task, size) = match flow {
        Flow::Variation => {
            (Task::Variation(variation(values, roles.contains(&PictureRole::Start).then_some(strength))), size)
        }
        Flow::ImageToImage if roles.contains(&PictureRole::Mask) => (Task::Inpaint(inpainting(values, strength)), size),
        Flow::ImageToImage if !roles.is_empty() => (Task::ImageToImage { strength }, size),
        Flow::ImageToImage => (Task::TextToImage, Some(size.unwrap_or(WITHOUT_PICTURE))),
    };
    let mut request = GenerationRequest::new(task);
    if roles.iter().any(|role| *role != PictureRole::Picture) {
        request.roles = roles.to_vec();
    }
    let near = values.number(VARIATION_STRENGTH).filter(|strength| *strength > 0.0);
    request.variation_seed = near.map(|strength| VariationSeed { seed: values.seed(VARIATION_SEED), strength });
    request.prompt = values.text("prompt").map(str::to_owned);
    request.size = size;
    if let Some(steps) = values.integer("num_inference_steps") {
        request.steps = steps as u32;
    }
    if let Some(guidance) = values.number("guidance_scale") {
        request.guidance = guidance;
    }
    if let Some(num_images) = values.integer("num_images") {
        request.num_images = num_images as u32;
    }
    // Only -1 and absence draw a seed; 0 is one.
    request.seed = values.seed("seed");
    request.loras = values.loras("loras").to_vec();
    request.check_safety = values.known_switch("enable_safety_checker").unwrap_or(true);
    request
}

/// What weighs the pictures, where a model has it.
fn variation(values: &Values, start_strength: Option<f64>) -> VariationSettings {
    let default = VariationSettings::default();
    let own = (
        values.number("redux_strength").unwrap_or(default.redux_strength),
        values.number("redux_downsample").unwrap_or(default.redux_downsample),
    );
    let balance = values.text(BALANCE).and_then(PictureBalance::named);
    let (redux_strength, redux_downsample) = balance.map_or(own, PictureBalance::settings);
    VariationSettings {
        image_weights: values.numbers(IMAGE_WEIGHTS).to_vec(),
        redux_strength,
        redux_spans: values.spans(REDUX_SPANS).to_vec(),
        redux_downsample,
        start_strength,
        ..default
    }
}

/// What says how the masked part is painted.
fn inpainting(values: &Values, strength: f64) -> InpaintSettings {
    InpaintSettings {
        strength,
        mask_reading: MaskReading::Brightness,
        mask_blur: values.number(MASK_BLUR).unwrap_or(0.0),
        crop_padding: values.integer(MASK_CROP).map(|padding| padding as u32),
        keep_outside: values.switch(KEEP_OUTSIDE),
    }
}

/// The engine's fields as all dialects call them, for [`crate::submit::FieldName`].
pub const fn field_name(field: Field) -> &'static str {
    match field {
        Field::Steps => "num_inference_steps",
        Field::Guidance => "guidance_scale",
        Field::ImageWeight => IMAGE_WEIGHTS,
        Field::ImageMask => PLAIN_NAMES.masks,
        Field::Start => PLAIN_NAMES.start,
        Field::Mask => PLAIN_NAMES.mask,
        Field::CropPadding => MASK_CROP,
        Field::MaskBlur => MASK_BLUR,
        Field::VariationStrength => VARIATION_STRENGTH,
        Field::Image
        | Field::Prompt
        | Field::Size
        | Field::NumImages
        | Field::Enlarge
        | Field::Strength
        | Field::ReduxStrength
        | Field::ReduxSpans
        | Field::ReduxDownsample
        | Field::Redux
        | Field::Model
        | Field::Loras
        | Field::Repeat => field.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::{fal, wavespeed};
    use crate::parameters::{Numbers, parse_with};
    use serde_json::json;

    #[test]
    fn every_dialects_variations_take_what_redux_can_do() {
        let fields = json!({
            "image": "x", "image_url": "x", "images": ["y"], "image_urls": ["y"], "image_weights": [0.25, 1],
            "redux_strength": 0.5, "redux_downsample": 3, "prompt": "p", "image_prompt_strength": 0.5,
        });
        let models = wavespeed::MODELS.iter().chain(&fal::MODELS);
        for model in models.filter(|model| model.flow == Flow::Variation) {
            let values = parse_with(Numbers::OrText, &model.parameters(), fields.as_object().unwrap()).unwrap();
            let request = generation(model.flow, &values, None, &[PictureRole::Picture]);
            // The ultra model has a name of the service's own for it.
            let has_own_strength = model.parameters().iter().any(|it| it.name == "image_prompt_strength");
            let expected = VariationSettings {
                image_weights: vec![0.25, 1.0],
                redux_strength: if has_own_strength { 1.0 } else { 0.5 },
                redux_downsample: 3.0,
                ..VariationSettings::default()
            };
            assert_eq!(request.task, Task::Variation(expected), "{}", model.id);
            assert_eq!(values.texts("images").len() + values.texts("image_urls").len(), 1, "{}", model.id);
        }
    }

    #[test]
    fn only_a_model_that_has_the_switch_can_go_without_a_check() {
        let mut with_switch = 0;
        for model in wavespeed::MODELS.iter().chain(&fal::MODELS) {
            let parameters = model.parameters();
            let is_checked = |switch| {
                let body = json!({"image": "x", "image_url": "x", "prompt": "p", "enable_safety_checker": switch});
                let values = parse_with(Numbers::OrText, &parameters, body.as_object().unwrap()).unwrap();
                generation(model.flow, &values, None, &[PictureRole::Picture]).check_safety
            };
            assert!(is_checked(json!(null)) && is_checked(json!(true)), "{}", model.id);
            let has_switch = parameters.iter().any(|parameter| parameter.name == "enable_safety_checker");
            assert_eq!(is_checked(json!(false)), !has_switch, "{}", model.id);
            with_switch += usize::from(has_switch);
        }
        assert_eq!(with_switch, 8, "of all but one");
    }
}
