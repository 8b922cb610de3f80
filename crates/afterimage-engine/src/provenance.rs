//! From a generation to files that say how they were made, the same for every front end.

use crate::generation::Generation;
use afterimage_core::{Error, GenerationFacts, GenerationRequest, ModelFacts, Result, Task, VariationSeed};
use afterimage_imaging::{OutputFormat, OutputMetadata, encode};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write;

/// How much a result's file says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum MetadataLevel {
    /// That it is AI generated, and everything that it takes to make it again: prompt, seed, settings, the model's name.
    #[default]
    Full,
    /// That it is AI generated, and by which program.
    Minimal,
    /// Nothing.
    None,
}

/// What a file's metadata records.
#[derive(Serialize)]
struct Parameters<'a> {
    #[serde(flatten)]
    request: &'a GenerationRequest,
    model: &'a str,
    device: &'a str,
    dtype: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    inputs: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<CacheRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety: Option<SafetyRecord<'a>>,
}

/// That steps could reuse earlier ones, and how many did.
#[derive(Serialize)]
struct CacheRecord {
    threshold: f64,
    cached_steps: u32,
}

impl CacheRecord {
    /// About picture `index`.
    fn of(facts: &GenerationFacts, index: usize) -> Option<Self> {
        let cached_steps = facts.pictures.get(index)?.cached_steps;
        Some(Self { threshold: facts.cache_threshold?, cached_steps })
    }
}

/// That a checker looked at the picture, and what it said.
#[derive(Serialize)]
struct SafetyRecord<'a> {
    checkers: &'a [String],
    flagged: bool,
}

impl<'a> SafetyRecord<'a> {
    /// About picture `index`, if somebody looked at it.
    fn of(facts: &'a GenerationFacts, index: usize) -> Option<Self> {
        let flagged = facts.pictures.get(index)?.flagged?;
        Some(Self { checkers: &facts.model.checkers, flagged })
    }
}

/// The file of each picture of `generation`, which was made from `request`. Its metadata holds, at [`MetadataLevel::Full`],
/// everything that decides what the picture looks like, apart from the input: enough to make it again.
///
/// # Errors
/// Those of [`afterimage_imaging::encode`].
pub fn encode_pictures(
    request: &GenerationRequest,
    generation: &Generation,
    format: OutputFormat,
    level: MetadataLevel,
) -> Result<Vec<Vec<u8>>> {
    let Generation { pictures, facts, inputs } = generation;
    // What was drawn or left to the model is recorded as what it became.
    let request = GenerationRequest {
        seed: Some(facts.seed),
        variation_seed: request
            .variation_seed
            .map(|variation| VariationSeed { seed: facts.variation_seed, ..variation }),
        size: Some(facts.size),
        enlarge: facts.enlarge,
        loras: facts.loras.clone(),
        ..request.clone()
    };
    let ModelFacts { name, device, dtype, .. } = &facts.model;
    let encode_one = |(index, picture)| {
        let metadata = match level {
            MetadataLevel::Full => {
                let safety = SafetyRecord::of(facts, index);
                let cache = CacheRecord::of(facts, index);
                let parameters = Parameters { request: &request, model: name, device, dtype, inputs, cache, safety };
                let json = serde_json::to_string(&parameters).map_err(Error::internal)?;
                let text = parameters_text(&request, name, index);
                Some(OutputMetadata { text: Some(text), ..OutputMetadata::new(json.as_str()) })
            }
            MetadataLevel::Minimal => Some(OutputMetadata::minimal()),
            MetadataLevel::None => None,
        };
        encode(picture, format, metadata.as_ref())
    };
    pictures.iter().enumerate().map(encode_one).collect()
}

/// The parameters of picture `index` in the form of AUTOMATIC1111's web interface, which picture browsers read: the prompt,
/// then one line of names and values. Seed and size are those that were used.
fn parameters_text(request: &GenerationRequest, model: &str, index: usize) -> String {
    let mut text = request.prompt_text().unwrap_or_default().trim().to_owned();
    if !text.is_empty() {
        text.push('\n');
    }
    let GenerationRequest { steps, guidance, .. } = request;
    // Writing to a text cannot fail.
    let _ = write!(text, "Steps: {steps}, Sampler: Euler, CFG scale: {guidance}");
    if let Some(seed) = request.seed {
        let _ = write!(text, ", Seed: {seed}");
    }
    if let Some(size) = request.size {
        let _ = write!(text, ", Size: {size}");
    }
    let _ = write!(text, ", Model: {}", quoted(model));
    if !request.loras.is_empty() {
        let loras: Vec<String> = request.loras.iter().map(|lora| format!("{}: {}", lora.name, lora.scale)).collect();
        let _ = write!(text, ", LoRA: {}", quoted(&loras.join(", ")));
    }
    if let Some(VariationSeed { seed: Some(seed), strength }) = request.variation_seed {
        let _ = write!(text, ", Variation seed: {seed}, Variation seed strength: {strength}");
    }
    if let Some(strength) = request.task.strength() {
        let _ = write!(text, ", Denoising strength: {strength}");
    }
    if let Task::Inpaint(settings) = &request.task {
        let _ = write!(text, ", Mask blur: {}", settings.mask_blur);
    }
    if request.num_images > 1 {
        let _ = write!(text, ", Batch size: {}, Batch pos: {index}", request.num_images);
    }
    let _ = write!(text, ", Version: Afterimage {}", env!("CARGO_PKG_VERSION"));
    text
}

/// A value as that form writes it: as JSON where it would end early.
fn quoted(value: &str) -> Cow<'_, str> {
    if value.contains([',', ':', '\n', '"']) { serde_json::json!(value).to_string().into() } else { value.into() }
}

/// What a file says of how it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// What was asked for, with the seed and the size that were used. The LoRAs are among it by their names.
    pub request: GenerationRequest,
    /// What the models were called.
    pub model: String,
    /// The numbers that were multiplied, as [`ModelFacts::dtype`] has it.
    pub dtype: String,
    /// Up to which change steps were reused.
    pub cache_threshold: Option<f64>,
    /// A digest of each picture that it was made of, in their order, as [`crate::picture_digest`] has it; empty where the
    /// file does not say, or there were none.
    pub inputs: Vec<String>,
}

impl Recorded {
    /// Reads the parameters, JSON, that [`encode_pictures`] wrote at [`MetadataLevel::Full`].
    ///
    /// # Errors
    /// What is missing or cannot be read.
    pub fn read(json: &str) -> std::result::Result<Self, String> {
        let mut value: serde_json::Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let fields = value.as_object_mut().ok_or("they are no object")?;
        let mut text = |name: &str| match fields.remove(name) {
            Some(serde_json::Value::String(text)) => Ok(text),
            _ => Err(format!("{name} is missing")),
        };
        // Not the set of models that a server calls so.
        let (model, dtype) = (text("model")?, text("dtype")?);
        let inputs = fields.remove("inputs").map_or(Ok(Vec::new()), serde_json::from_value);
        let inputs = inputs.map_err(|error| format!("inputs: {error}"))?;
        let cache_threshold =
            fields.get("cache").and_then(|cache| cache.get("threshold")).and_then(serde_json::Value::as_f64);
        let request = serde_json::from_value(value).map_err(|error| error.to_string())?;
        Ok(Self { request, model, dtype, cache_threshold, inputs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::{InpaintSettings, PictureRole, Size, VariationSettings};

    #[test]
    fn what_is_recorded_is_read() {
        for task in [
            Task::Variation(VariationSettings {
                image_weights: vec![0.5, 0.25],
                redux_strength: 0.1,
                ..VariationSettings::default()
            }),
            Task::ImageToImage { strength: 1.0 / 3.0 },
            Task::Inpaint(InpaintSettings { mask_blur: 1.5, crop_padding: Some(8), ..InpaintSettings::default() }),
            Task::TextToImage,
        ] {
            let request = GenerationRequest {
                roles: vec![PictureRole::Picture, PictureRole::Mask],
                variation_seed: Some(VariationSeed { seed: Some(9), strength: 0.1 }),
                ..request(task, Some("雪山"))
            };
            let cache = Some(CacheRecord { threshold: 0.1, cached_steps: 3 });
            let inputs = vec!["00ff".to_owned(), "17".to_owned()];
            let written = Parameters {
                request: &request,
                model: "a, b",
                device: "cpu",
                dtype: "bf16",
                inputs: &inputs,
                cache,
                safety: None,
            };
            let read = Recorded::read(&serde_json::to_string(&written).unwrap()).unwrap();
            let expected =
                Recorded { request, model: "a, b".into(), dtype: "bf16".into(), cache_threshold: Some(0.1), inputs };
            assert_eq!(read, expected);
        }
        for bad in ["", "{}", "[]", "{\"model\": 1, \"dtype\": \"f32\"}", "{\"model\": \"a\", \"dtype\": \"f32\"}"] {
            assert!(Recorded::read(bad).is_err(), "{bad}");
        }
    }

    fn request(task: Task, prompt: Option<&str>) -> GenerationRequest {
        GenerationRequest {
            prompt: prompt.map(str::to_owned),
            seed: Some(7),
            size: Some(Size::new(256, 192)),
            ..GenerationRequest::new(task)
        }
    }

    #[test]
    fn the_text_is_the_one_that_browsers_read() {
        let version = env!("CARGO_PKG_VERSION");
        let vary = request(Task::Variation(VariationSettings::default()), Some(" a lighthouse,\nred "));
        assert_eq!(
            parameters_text(&vary, "demo", 0),
            format!(
                "a lighthouse,\nred\nSteps: 28, Sampler: Euler, CFG scale: 3.5, Seed: 7, Size: 256x192, Model: demo, \
                 Version: Afterimage {version}"
            )
        );
        let mut reshaped = request(Task::ImageToImage { strength: 0.8 }, None);
        reshaped.num_images = 2;
        assert_eq!(
            parameters_text(&reshaped, "a, b: \"c\"", 1),
            format!(
                "Steps: 28, Sampler: Euler, CFG scale: 3.5, Seed: 7, Size: 256x192, Model: \"a, b: \\\"c\\\"\", \
                 Denoising strength: 0.8, Batch size: 2, Batch pos: 1, Version: Afterimage {version}"
            )
        );
    }
}
