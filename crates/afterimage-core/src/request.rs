//! What to generate, independent of who asks and on what it runs.

use crate::{Error, Limits, ModelName, Result, Size};
use serde::{Deserialize, Serialize};

/// One request for 1 to 4 pictures. The input pictures travel beside it, decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationRequest {
    /// What to do with the input pictures.
    pub task: Task,
    /// Text for both encoders; `None` and `""` mean no prompt.
    pub prompt: Option<String>,
    /// Output size in pixels, rounded down to multiples of 16; `None`: the model's native size, or for image-to-image
    /// the input's.
    pub size: Option<Size>,
    /// Length of the sigma schedule, 1..=50.
    pub steps: u32,
    /// Distilled guidance, 1..=20; ignored by models without a guidance embedding.
    pub guidance: f64,
    /// Seed of the noise; `None` draws one. Only the lower 32 bits matter, as in torch's CPU generator.
    pub seed: Option<u64>,
    /// Pictures to make, 1..=4. One noise stream continues from one to the next.
    pub num_images: u32,
    /// Whether a large picture is made small first, then enlarged and refined.
    #[serde(default)]
    pub enlarge: Enlarge,
    /// Which of the server's sets of models is to run it; `None`: its only or default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
}

/// Whether a picture larger than what a model knows is made in two passes: small, in the same shape; then enlarged and
/// refined by image-to-image under the same condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enlarge {
    /// When the model's own `afterimage.json` asks for it.
    #[default]
    Auto,
    /// Never: one pass at the size asked for.
    Off,
    /// Whatever the model: the first pass has about this many pixels, 256..=16,777,216, when more than these are asked for.
    FromPixels(u64),
}

/// The three things the engine can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// FLUX Redux: new pictures in the likeness of one or several inputs.
    Variation(VariationSettings),
    /// Starts from one input picture with noise added.
    ImageToImage {
        /// 0..=1: share of the schedule that runs. 1 ignores the input; 0 leaves no step, so that the result is the
        /// input at the output size.
        strength: f64,
    },
    /// From the prompt alone.
    TextToImage,
}

/// How the input pictures of a variation steer it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariationSettings {
    /// Weight of each input, in their order; empty: each 1 for one picture, 1/n for n. The text and image tokens and
    /// the pooled vectors are multiplied by the weights and summed, as diffusers' `prompt_embeds_scale` does.
    pub image_weights: Vec<f64>,
    /// What an absent prompt feeds.
    pub empty_prompt: EmptyPrompt,
    /// 0..=1: attention weight of the image tokens against text and latents; 0 drops them.
    pub redux_strength: f64,
    /// 1..=9: the image tokens' grid is shrunk to side / factor, rounded half to even.
    pub redux_downsample: f64,
}

impl Default for VariationSettings {
    fn default() -> Self {
        Self {
            image_weights: Vec::new(),
            empty_prompt: EmptyPrompt::Encode,
            redux_strength: 1.0,
            redux_downsample: 1.0,
        }
    }
}

/// What an absent prompt feeds into the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyPrompt {
    /// The encoded empty string (BFL's reference, hosted services).
    #[default]
    Encode,
    /// Zeros for text tokens and pooled vector (diffusers without text encoders).
    Zeros,
}

impl GenerationRequest {
    /// A request with the command line's defaults: 28 steps, guidance 3.5, one picture, a drawn seed.
    pub fn new(task: Task) -> Self {
        Self {
            task,
            prompt: None,
            size: None,
            steps: 28,
            guidance: 3.5,
            seed: None,
            num_images: 1,
            enlarge: Enlarge::Auto,
            model: None,
        }
    }

    /// The prompt, or `None` when there is nothing but an empty string.
    pub fn prompt_text(&self) -> Option<&str> {
        self.prompt.as_deref().filter(|text| !text.is_empty())
    }

    /// Checks every field against `limits`; `sources` is the number of input pictures.
    ///
    /// # Errors
    /// [`Error::Field`] for the first field out of range.
    pub fn validate(&self, limits: &Limits, sources: usize) -> Result<()> {
        if let Some(size) = self.size {
            for side in [size.width, size.height] {
                if !limits.side.contains(&side) {
                    return Err(Error::field(
                        "size",
                        format!(
                            "{size} is out of range; each side takes {} to {} pixels",
                            limits.side.start(),
                            limits.side.end()
                        ),
                    ));
                }
            }
        }
        if !limits.steps.contains(&self.steps) {
            return Err(out_of_range("steps", self.steps, limits.steps.start(), limits.steps.end()));
        }
        check_number("guidance", self.guidance, *limits.guidance.start(), *limits.guidance.end())?;
        if !limits.num_images.contains(&self.num_images) {
            return Err(out_of_range(
                "num_images",
                self.num_images,
                limits.num_images.start(),
                limits.num_images.end(),
            ));
        }
        if let Some(prompt) = &self.prompt
            && prompt.len() > limits.prompt_bytes
        {
            return Err(Error::field(
                "prompt",
                format!("{} bytes are too long; at most {} are accepted", prompt.len(), limits.prompt_bytes),
            ));
        }
        if let Enlarge::FromPixels(pixels) = self.enlarge {
            let (low, high) = (u64::from(*limits.side.start()).pow(2), u64::from(*limits.side.end()).pow(2));
            if !(low..=high).contains(&pixels) {
                return Err(out_of_range("enlarge", format!("{pixels} pixels"), low, high));
            }
        }
        self.validate_task(limits, sources)
    }

    fn validate_task(&self, limits: &Limits, sources: usize) -> Result<()> {
        match &self.task {
            Task::Variation(settings) => {
                if !limits.sources.contains(&sources) {
                    return Err(out_of_range(
                        "image",
                        format!("{sources} pictures"),
                        limits.sources.start(),
                        limits.sources.end(),
                    ));
                }
                check_number("redux_strength", settings.redux_strength, 0.0, 1.0)?;
                check_number("redux_downsample", settings.redux_downsample, 1.0, 9.0)?;
                let weights = &settings.image_weights;
                if !weights.is_empty() && weights.len() != sources {
                    return Err(Error::field(
                        "image_weight",
                        format!("{} weights for {sources} pictures; give one for each picture or none", weights.len()),
                    ));
                }
                for weight in weights {
                    check_number("image_weight", *weight, -10.0, 10.0)?;
                }
            }
            Task::ImageToImage { strength } => {
                if sources != 1 {
                    return Err(Error::field("image", format!("{sources} pictures; image-to-image takes exactly one")));
                }
                check_number("strength", *strength, 0.0, 1.0)?;
                if self.prompt_text().is_none() {
                    return Err(Error::field("prompt", "missing; image-to-image needs a text"));
                }
            }
            Task::TextToImage => {
                if sources != 0 {
                    return Err(Error::field("image", "text-to-image takes no picture"));
                }
                if self.prompt_text().is_none() {
                    return Err(Error::field("prompt", "missing; text-to-image needs a text"));
                }
            }
        }
        Ok(())
    }
}

fn out_of_range(
    field: &'static str,
    value: impl std::fmt::Display,
    low: impl std::fmt::Display,
    high: impl std::fmt::Display,
) -> Error {
    Error::field(field, format!("{value} is out of range; {low} to {high} are accepted"))
}

fn check_number(field: &'static str, value: f64, low: f64, high: f64) -> Result<()> {
    // NaN fails the comparison and is refused like any other value out of range.
    if value >= low && value <= high { Ok(()) } else { Err(out_of_range(field, value, low, high)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(request: &GenerationRequest, sources: usize) -> Option<&'static str> {
        match request.validate(&Limits::default(), sources) {
            Ok(()) => None,
            Err(Error::Field { field, .. }) => Some(field),
            Err(other) => panic!("unexpected {other}"),
        }
    }

    fn variation() -> GenerationRequest {
        GenerationRequest::new(Task::Variation(VariationSettings::default()))
    }

    #[test]
    fn defaults_are_valid() {
        assert_eq!(field_of(&variation(), 1), None);
    }

    #[test]
    fn each_bad_value_names_its_field() {
        let with = |change: fn(&mut GenerationRequest)| {
            let mut request = variation();
            change(&mut request);
            field_of(&request, 1)
        };
        assert_eq!(with(|r| r.steps = 0), Some("steps"));
        assert_eq!(with(|r| r.steps = 51), Some("steps"));
        assert_eq!(with(|r| r.guidance = f64::NAN), Some("guidance"));
        assert_eq!(with(|r| r.guidance = f64::INFINITY), Some("guidance"));
        assert_eq!(with(|r| r.size = Some(Size::new(8, 512))), Some("size"));
        assert_eq!(with(|r| r.size = Some(Size::new(512, 99_999))), Some("size"));
        assert_eq!(with(|r| r.num_images = 5), Some("num_images"));
        assert_eq!(with(|r| r.prompt = Some("x".repeat(1 << 20))), Some("prompt"));
        assert_eq!(with(|r| r.task = Task::ImageToImage { strength: 0.5 }), Some("prompt"));
    }

    #[test]
    fn weights_must_match_the_pictures() {
        let settings = VariationSettings { image_weights: vec![0.5], ..VariationSettings::default() };
        let request = GenerationRequest::new(Task::Variation(settings));
        assert_eq!(field_of(&request, 2), Some("image_weight"));
        assert_eq!(field_of(&request, 1), None);
    }
}
