//! Names of what a request can be wrong in.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A field of [`crate::GenerationRequest`], or what belongs to it, as an error names it. Front ends translate it to a flag
/// or to a dialect's parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The input pictures.
    Image,
    /// [`crate::VariationSettings::image_weights`].
    ImageWeight,
    /// The mask of an input picture, [`crate::PictureRole::PictureMask`].
    ImageMask,
    /// The picture that a variation starts from, [`crate::PictureRole::Start`].
    Start,
    /// The mask of inpainting, [`crate::PictureRole::Mask`].
    Mask,
    /// [`crate::InpaintSettings::mask_blur`].
    MaskBlur,
    /// [`crate::InpaintSettings::crop_padding`].
    CropPadding,
    /// [`crate::GenerationRequest::prompt`].
    Prompt,
    /// [`crate::GenerationRequest::size`].
    Size,
    /// [`crate::GenerationRequest::steps`].
    Steps,
    /// [`crate::GenerationRequest::guidance`].
    Guidance,
    /// [`crate::GenerationRequest::num_images`].
    NumImages,
    /// [`crate::GenerationRequest::enlarge`].
    Enlarge,
    /// [`crate::VariationSeed::strength`].
    VariationStrength,
    /// [`crate::Task::strength`].
    Strength,
    /// [`crate::VariationSettings::redux_strength`].
    ReduxStrength,
    /// [`crate::VariationSettings::redux_spans`].
    ReduxSpans,
    /// [`crate::VariationSettings::redux_downsample`].
    ReduxDownsample,
    /// The Redux model, which variations need.
    Redux,
    /// [`crate::GenerationRequest::model`].
    Model,
    /// [`crate::GenerationRequest::loras`].
    Loras,
    /// Repetitions of a measurement.
    Repeat,
}

impl Field {
    /// The core's own name, as serde spells it, too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::ImageWeight => "image_weight",
            Self::ImageMask => "image_mask",
            Self::Start => "start",
            Self::Mask => "mask",
            Self::MaskBlur => "mask_blur",
            Self::CropPadding => "crop_padding",
            Self::Prompt => "prompt",
            Self::Size => "size",
            Self::Steps => "steps",
            Self::Guidance => "guidance",
            Self::NumImages => "num_images",
            Self::Enlarge => "enlarge",
            Self::VariationStrength => "variation_strength",
            Self::Strength => "strength",
            Self::ReduxStrength => "redux_strength",
            Self::ReduxSpans => "redux_strength_spans",
            Self::ReduxDownsample => "redux_downsample",
            Self::Redux => "redux",
            Self::Model => "model",
            Self::Loras => "loras",
            Self::Repeat => "repeat",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
