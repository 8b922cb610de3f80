//! The engine: loaded models and the one call that uses them.

use crate::options::EngineOptions;
use crate::pipelines::{self, Encodings, Order, Pipeline};
use afterimage_core::{Enlarge, GenerationRequest, Picture, Result, Size};
use serde::{Deserialize, Serialize};

/// The models of one base and Redux pair. Weights are mapped when it is opened and each model is built when a request
/// first needs it; one engine serves any number of requests, one at a time or in parallel.
pub struct Engine {
    pipeline: Box<dyn Pipeline>,
    encodings: Encodings,
}

/// A stage of a generation, for progress displays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Building models.
    Load,
    /// SigLIP and Redux, or the VAE encoder.
    ImageEncode,
    /// T5 and CLIP.
    TextEncode,
    /// Transformer steps.
    Denoise,
    /// VAE decoder.
    Decode,
}

/// Told about a generation's progress; asked between steps whether to stop.
pub trait Observer: Sync {
    /// A stage begins.
    fn stage(&self, stage: Stage) {
        let _ = stage;
    }

    /// `done` of `total` transformer steps are finished; first called with 0 when the first step starts. Two passes count
    /// as one.
    fn step(&self, done: u32, total: u32) {
        let _ = (done, total);
    }

    /// Whether to make a preview after step `done` of `total`; asked after every step but the last. A preview costs the
    /// decoding of about 256×256 pixels and does not change the result.
    fn wants_preview(&self, done: u32, total: u32) -> bool {
        let _ = (done, total);
        false
    }

    /// What the first picture of the request will look like, as far as the model knows by now; its longer side has at
    /// most about 256 pixels.
    fn preview(&self, picture: Picture) {
        let _ = picture;
    }

    /// Whether the generation should end with [`afterimage_core::Error::Cancelled`].
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// An [`Observer`] that does not care.
pub struct Silent;

impl Observer for Silent {}

/// Wall-clock milliseconds of the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Building models.
    pub load_ms: f64,
    /// SigLIP and Redux, or the VAE encoder.
    pub image_encode_ms: f64,
    /// T5 and CLIP.
    pub text_encode_ms: f64,
    /// All transformer steps, and previews between them.
    pub denoise_ms: f64,
    /// VAE decoder.
    pub decode_ms: f64,
    /// From the call to the finished pictures.
    pub total_ms: f64,
}

/// What an engine runs, for people and for front ends that have only a description of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Name of the model.
    pub name: String,
    /// Output size when a request names none.
    pub native_size: Size,
    /// Device that runs it.
    pub device: String,
    /// Compute type, `f32` or `bf16`.
    pub dtype: String,
}

/// What a request produced.
#[derive(Debug)]
pub struct Generation {
    /// `num_images` pictures.
    pub pictures: Vec<Picture>,
    /// The seed that was used, given or drawn.
    pub seed: u64,
    /// Size of each picture.
    pub size: Size,
    /// Transformer steps that ran, in both passes together when there were two.
    pub steps_run: u32,
    /// How the request's `enlarge` was understood, never [`Enlarge::Auto`].
    pub enlarge: Enlarge,
    /// Size of the first pass, when there were two.
    pub enlarged_from: Option<Size>,
    /// Time of each stage.
    pub timings: Timings,
    /// The input pictures' tokens were known from earlier requests; `false` without such tokens.
    pub image_cached: bool,
    /// The prompt was known from an earlier request.
    pub text_cached: bool,
    /// Name of the model, for people.
    pub model: String,
    /// Device that ran it.
    pub device: String,
    /// Compute type, `f32` or `bf16`.
    pub dtype: String,
}

impl Engine {
    /// Opens the models that `options` name and checks that their configurations fit each other.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] or [`afterimage_core::Error::Tensor`] for a file that is missing or does not fit, [`afterimage_core::Error::Device`].
    pub fn open(options: &EngineOptions) -> Result<Self> {
        Ok(Self { pipeline: pipelines::open(options)?, encodings: Encodings::default() })
    }

    /// Output size when a request names none.
    pub fn native_size(&self) -> Size {
        self.facts().native_size
    }

    /// What this engine runs.
    pub fn facts(&self) -> ModelFacts {
        self.pipeline.facts()
    }

    /// Runs `request` on the decoded input pictures, for the only tenant there is.
    ///
    /// # Errors
    /// Those of [`Engine::generate_for`].
    pub fn generate(
        &self,
        request: &GenerationRequest,
        sources: &[Picture],
        observer: &dyn Observer,
    ) -> Result<Generation> {
        self.generate_for("", request, sources, observer)
    }

    /// Runs `request` on the decoded input pictures. What an earlier request encoded is used again only for requests
    /// of the same `tenant`, an opaque name: no tenant can ask, by an answer or by its speed, what others encoded.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Field`] for a request that cannot run, [`afterimage_core::Error::Cancelled`], and those of [`Engine::open`] for models
    /// that are built now.
    pub fn generate_for(
        &self,
        tenant: &str,
        request: &GenerationRequest,
        sources: &[Picture],
        observer: &dyn Observer,
    ) -> Result<Generation> {
        self.pipeline.generate(&Order { tenant, request, sources, observer, encodings: &self.encodings })
    }
}
