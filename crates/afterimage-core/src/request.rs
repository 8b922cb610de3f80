//! What to generate, independent of who asks and on what it runs.

use crate::{Error, Field, LoraChoice, ModelName, Result, Size, limits};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::ops::RangeInclusive;

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
    /// What is added to the model for this request, each by its name in the operator's folder; at most 8, none twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<LoraChoice>,
    /// Whether the engine's safety checkers, if it has any, are to look at the results. An engine that requires them
    /// looks all the same.
    #[serde(default = "checked", skip_serializing_if = "is_checked")]
    pub check_safety: bool,
}

const fn checked() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_checked(check_safety: &bool) -> bool {
    *check_safety
}

/// Whether a picture larger than what a model knows is made in two passes: small, in the same shape; then enlarged and
/// refined by image-to-image under the same condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Enlarge {
    /// When the model's `afterimage.json` asks for it, as the embedded demo model's does; FLUX.1 has none.
    #[default]
    Auto,
    /// Never: one pass at the full size, as diffusers does.
    Off,
    /// Whatever the model: the first pass has about this many pixels, 256..=16,777,216, when more than these are asked for.
    #[cfg_attr(feature = "clap", value(skip))]
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
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum EmptyPrompt {
    /// The encoded empty text, as Black Forest Labs and hosted services do.
    #[default]
    Encode,
    /// Zeros, as diffusers without text encoders does; loads no text encoder and is faster.
    ///
    /// Both for the text tokens and the pooled vector.
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
            loras: Vec::new(),
            check_safety: true,
        }
    }

    /// The prompt, or `None` when there is nothing but an empty string.
    pub fn prompt_text(&self) -> Option<&str> {
        self.prompt.as_deref().filter(|text| !text.is_empty())
    }

    /// Checks every field, and that they fit the input pictures: one of `sources` for each, its size if that is known.
    ///
    /// # Errors
    /// [`Error::Field`] for the first field out of range, then [`Error::SourceSize`].
    pub fn check(&self, sources: &[Option<Size>]) -> Result<()> {
        let (shortest, longest) = limits::SIDE.into_inner();
        if let Some(size) = self.size.filter(|size| !is_makeable(*size)) {
            let problem = format!("{size} is out of range; each side takes {shortest} to {longest} pixels");
            return Err(Error::field(Field::Size, problem));
        }
        check_range(Field::Steps, self.steps, &limits::STEPS)?;
        check_range(Field::Guidance, self.guidance, &limits::GUIDANCE)?;
        check_range(Field::NumImages, self.num_images, &limits::NUM_IMAGES)?;
        if let Some(prompt) = self.prompt.as_ref().filter(|prompt| prompt.len() > limits::PROMPT_BYTES) {
            let (bytes, most) = (prompt.len(), limits::PROMPT_BYTES);
            return Err(Error::field(
                Field::Prompt,
                format!("{bytes} bytes are too long; at most {most} are accepted"),
            ));
        }
        if let Enlarge::FromPixels(pixels) = self.enlarge
            && !limits::ENLARGE_PIXELS.contains(&pixels)
        {
            return Err(out_of_range(Field::Enlarge, format!("{pixels} pixels"), &limits::ENLARGE_PIXELS));
        }
        LoraChoice::check(&self.loras)?;
        self.check_task(sources)
    }

    fn check_task(&self, sources: &[Option<Size>]) -> Result<()> {
        let count = sources.len();
        match &self.task {
            Task::Variation(settings) => {
                if !limits::SOURCES.contains(&count) {
                    return Err(out_of_range(Field::Image, format!("{count} pictures"), &limits::SOURCES));
                }
                check_range(Field::ReduxStrength, settings.redux_strength, &limits::REDUX_STRENGTH)?;
                check_range(Field::ReduxDownsample, settings.redux_downsample, &limits::REDUX_DOWNSAMPLE)?;
                let weights = &settings.image_weights;
                if !weights.is_empty() && weights.len() != count {
                    let weights = weights.len();
                    let problem = format!("{weights} weights for {count} pictures; give one for each picture or none");
                    return Err(Error::field(Field::ImageWeight, problem));
                }
                weights.iter().try_for_each(|weight| check_range(Field::ImageWeight, *weight, &limits::IMAGE_WEIGHT))
            }
            Task::ImageToImage { strength } => {
                let [source] = sources else {
                    let problem = format!("{count} pictures; image-to-image takes exactly one");
                    return Err(Error::field(Field::Image, problem));
                };
                check_range(Field::Strength, *strength, &limits::STRENGTH)?;
                if self.prompt_text().is_none() {
                    return Err(Error::field(Field::Prompt, "missing; image-to-image needs a text"));
                }
                match source.filter(|size| self.size.is_none() && !is_makeable(*size)) {
                    Some(size) => Err(Error::SourceSize(size)),
                    None => Ok(()),
                }
            }
            Task::TextToImage => {
                if count != 0 {
                    return Err(Error::field(Field::Image, "text-to-image takes no picture"));
                }
                if self.prompt_text().is_none() {
                    return Err(Error::field(Field::Prompt, "missing; text-to-image needs a text"));
                }
                Ok(())
            }
        }
    }
}

fn is_makeable(size: Size) -> bool {
    limits::SIDE.contains(&size.width) && limits::SIDE.contains(&size.height)
}

fn out_of_range(field: Field, value: impl Display, range: &RangeInclusive<impl Display>) -> Error {
    Error::field(field, format!("{value} is out of range; {} to {} are accepted", range.start(), range.end()))
}

/// NaN is in no range.
fn check_range<T: PartialOrd + Display>(field: Field, value: T, range: &RangeInclusive<T>) -> Result<()> {
    if range.contains(&value) { Ok(()) } else { Err(out_of_range(field, value, range)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(request: &GenerationRequest, sources: usize) -> Option<Field> {
        match request.check(&vec![None; sources]) {
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
        assert_eq!(with(|r| r.steps = 0), Some(Field::Steps));
        assert_eq!(with(|r| r.steps = 51), Some(Field::Steps));
        assert_eq!(with(|r| r.guidance = f64::NAN), Some(Field::Guidance));
        assert_eq!(with(|r| r.guidance = f64::INFINITY), Some(Field::Guidance));
        assert_eq!(with(|r| r.size = Some(Size::new(8, 512))), Some(Field::Size));
        assert_eq!(with(|r| r.size = Some(Size::new(512, 99_999))), Some(Field::Size));
        let lora = |r: &mut GenerationRequest| r.loras = vec![LoraChoice { name: "a".parse().unwrap(), scale: 5.0 }];
        assert_eq!(with(lora), Some(Field::Loras));
        assert_eq!(with(|r| r.num_images = 5), Some(Field::NumImages));
        assert_eq!(with(|r| r.prompt = Some("x".repeat(1 << 20))), Some(Field::Prompt));
        assert_eq!(with(|r| r.task = Task::ImageToImage { strength: 0.5 }), Some(Field::Prompt));
    }

    #[test]
    fn weights_must_match_the_pictures() {
        let settings = VariationSettings { image_weights: vec![0.5], ..VariationSettings::default() };
        let request = GenerationRequest::new(Task::Variation(settings));
        assert_eq!(field_of(&request, 2), Some(Field::ImageWeight));
        assert_eq!(field_of(&request, 1), None);
    }

    #[test]
    fn an_image_to_image_source_of_known_size_must_be_one_that_can_be_made() {
        let mut request = GenerationRequest::new(Task::ImageToImage { strength: 0.5 });
        request.prompt = Some("a quay".to_owned());
        let (usable, small) = (Size::new(16, 4096), Size::new(15, 64));
        assert!(request.check(&[None]).is_ok() && request.check(&[Some(usable)]).is_ok());
        let error = request.check(&[Some(small)]).unwrap_err();
        assert!(matches!(error, Error::SourceSize(size) if size == small));
        let expected = "missing; the picture's 15x64 is out of range (16 to 4096 pixels a side), so name a size";
        assert_eq!(error.as_field(), Some((Field::Size, expected.into())));
        assert_eq!(error.to_string(), format!("size: {expected}"));
        request.size = Some(usable);
        assert!(request.check(&[Some(small)]).is_ok(), "a size was named");
    }

    #[test]
    fn the_largest_first_pass_is_the_largest_square() {
        let squares = [*limits::SIDE.start(), *limits::SIDE.end()].map(|side| u64::from(side).pow(2));
        assert_eq!(limits::ENLARGE_PIXELS, squares[0]..=squares[1]);
    }

    #[test]
    fn fields_are_named_as_serde_spells_them() {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error as Unknown, StrDeserializer};
        for field in [Field::Image, Field::ImageWeight, Field::NumImages, Field::ReduxDownsample] {
            let name: StrDeserializer<Unknown> = field.name().into_deserializer();
            assert_eq!(Field::deserialize(name), Ok(field));
        }
    }
}
