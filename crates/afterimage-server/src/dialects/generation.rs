//! From checked values to a generation request. Settings of the same name mean the same in all dialects.

use crate::parameters::Values;
use afterimage_core::{Field, GenerationRequest, Size, Task, VariationSettings};

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

/// The request that `values` describe: `prompt`, `strength`, `num_inference_steps`, `guidance_scale`, `num_images` and
/// `seed`. Without a `size` the result of image-to-image has its picture's.
pub fn generation(flow: Flow, values: &Values, size: Option<Size>, with_picture: bool) -> GenerationRequest {
    let (task, size) = match (flow, with_picture) {
        (Flow::Variation, _) => (Task::Variation(VariationSettings::default()), size),
        (Flow::ImageToImage, true) => (Task::ImageToImage { strength: values.number("strength").unwrap_or(0.8) }, size),
        (Flow::ImageToImage, false) => (Task::TextToImage, Some(size.unwrap_or(WITHOUT_PICTURE))),
    };
    let mut request = GenerationRequest::new(task);
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
    request
}

/// The engine's fields as all dialects call them, for [`crate::submit::FieldName`].
pub const fn field_name(field: Field) -> &'static str {
    match field {
        Field::Steps => "num_inference_steps",
        Field::Guidance => "guidance_scale",
        Field::Image
        | Field::ImageWeight
        | Field::Prompt
        | Field::Size
        | Field::NumImages
        | Field::Enlarge
        | Field::Strength
        | Field::ReduxStrength
        | Field::ReduxDownsample
        | Field::Redux
        | Field::Model
        | Field::Repeat => field.name(),
    }
}
