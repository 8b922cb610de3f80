//! The networks of one base and Redux pair on one device, each built when a request first needs it.

use super::cache::Cache;
use super::lazy::Lazy;
use super::load_time;
use super::loras::{LoraLibrary, LoraSelection, LoraUse};
use super::model_files::ModelFiles;
use crate::models::flux::FluxTransformer;
use crate::models::vae::Autoencoder;
use crate::models::{ClipTextModel, ReduxEmbedder, SiglipPreprocessor, SiglipVisionModel, T5Encoder};
use crate::safety::Safety;
use crate::tokenizers::{ClipTokenizer, T5Tokenizer};
use crate::weights::Scope;
use crate::weights::lora::{AppliedLoras, LoraPart, MergedLoras};
use afterimage_core::{LoraChoice, ModelFacts, Result};
use afterimage_device::Device;
use std::sync::Arc;

/// Networks with LoRAs of requests that are kept: the last one's, and another for requests in turn.
const KEPT: u64 = 2;

/// The networks that encode prompts.
pub(super) const TEXT: [LoraPart; 2] = [LoraPart::Clip, LoraPart::T5];

/// T5 and CLIP with their tokenizers.
pub(crate) struct TextEncoders<D: Device> {
    pub t5_tokenizer: Arc<T5Tokenizer>,
    pub t5: T5Encoder<D>,
    pub clip_tokenizer: Arc<ClipTokenizer>,
    pub clip: ClipTextModel<D>,
}

/// `SigLIP` and the Redux embedder.
pub(crate) struct ImageEncoders<D: Device> {
    pub preprocessor: SiglipPreprocessor,
    pub siglip: SiglipVisionModel<D>,
    pub redux: ReduxEmbedder<D>,
}

/// Everything a generation computes with.
pub(crate) struct Networks<D: Device> {
    pub(super) device: Arc<D>,
    pub(super) files: ModelFiles,
    pub(super) safety: Safety,
    loras: LoraLibrary,
    /// With what is merged into its weights and nothing else.
    pub(super) transformer: Lazy<Arc<FluxTransformer<D>>>,
    transformers: Cache<Vec<LoraUse>, FluxTransformer<D>>,
    pub(super) decoder: Lazy<Autoencoder<D>>,
    pub(super) autoencoder: Lazy<Autoencoder<D>>,
    /// As the transformer.
    pub(super) text: Lazy<Arc<TextEncoders<D>>>,
    texts: Cache<Vec<LoraUse>, TextEncoders<D>>,
    pub(super) image: Lazy<ImageEncoders<D>>,
}

impl<D: Device> Networks<D> {
    /// The networks in `files`, of which none is built yet, and who looks at what they make.
    ///
    /// # Errors
    /// Those of [`LoraLibrary::open`].
    pub fn new(device: Arc<D>, files: ModelFiles, safety: Safety) -> Result<Self> {
        let loras = LoraLibrary::open(files.options(), &|part| files.lora_targets(part))?;
        Ok(Self {
            device,
            files,
            safety,
            loras,
            transformer: Lazy::new(),
            transformers: Cache::new(KEPT, |_, _| 1),
            decoder: Lazy::new(),
            autoencoder: Lazy::new(),
            text: Lazy::new(),
            texts: Cache::new(KEPT, |_, _| 1),
            image: Lazy::new(),
        })
    }

    /// What a request that names `choices` adds to the networks.
    ///
    /// # Errors
    /// Those of [`LoraLibrary::select`].
    pub fn select(&self, choices: &[LoraChoice]) -> Result<LoraSelection> {
        load_time::measure(|| self.loras.select(choices, &|part| self.files.lora_targets(part)))
    }

    /// What every request adds to the networks.
    pub fn fixed(&self) -> &LoraSelection {
        self.loras.fixed()
    }

    /// `scope` with what is merged into the network `part`.
    fn merged(&self, scope: Scope, part: LoraPart) -> Scope {
        let used = self.loras.fixed().used(&[part]);
        if used.iter().any(|used| used.is_merged) {
            scope.over(|source| Arc::new(MergedLoras::new(source, &used, part)))
        } else {
            scope
        }
    }

    /// What they are built from.
    pub fn files(&self) -> &ModelFiles {
        &self.files
    }

    /// What runs.
    pub fn facts(&self) -> ModelFacts {
        ModelFacts {
            name: self.files.name(),
            native_size: self.files.native_size(),
            device: self.device.name().to_owned(),
            dtype: self.files.dtype().to_owned(),
            checkers: self.safety.names(),
        }
    }

    /// The transformer with what `loras` add to it. The weights are shared by all: one with other LoRAs costs their own
    /// numbers, and no other knows of them.
    pub(crate) fn transformer(&self, loras: &LoraSelection) -> Result<Arc<FluxTransformer<D>>> {
        const PART: LoraPart = LoraPart::Transformer;
        let plain = self.transformer.get(|| {
            let scope = self.merged(self.files.transformer_scope()?, PART);
            FluxTransformer::load(&self.device, &scope, self.files.flux().clone()).map(Arc::new)
        })?;
        let used = loras.used(&[PART]);
        if used.is_empty() {
            return Ok(Arc::clone(plain));
        }
        let with_loras = || plain.with_loras(AppliedLoras::new(&used, PART));
        load_time::measure(|| Ok(self.transformers.get_or_make(&loras.key(&[PART]), with_loras)?.value))
    }

    /// An autoencoder that need not have an encoder.
    pub(super) fn decoder(&self) -> Result<&Autoencoder<D>> {
        match self.autoencoder.peek() {
            Some(autoencoder) => Ok(autoencoder),
            None => self.decoder.get(|| self.load_autoencoder(false)),
        }
    }

    pub(crate) fn autoencoder(&self) -> Result<&Autoencoder<D>> {
        self.autoencoder.get(|| self.load_autoencoder(true))
    }

    fn load_autoencoder(&self, with_encoder: bool) -> Result<Autoencoder<D>> {
        Autoencoder::load(&self.device, &self.files.vae_scope()?, self.files.vae().clone(), with_encoder)
    }

    /// The text encoders with what `loras` add to them; see [`Networks::transformer`].
    pub(crate) fn text_encoders(&self, loras: &LoraSelection) -> Result<Arc<TextEncoders<D>>> {
        let plain = self.text.get(|| {
            let ((clip, clip_scope), (t5, t5_scope)) = self.files.text_encoders()?;
            let clip_length = clip.max_position_embeddings;
            let clip_tokenizer = ClipTokenizer::open(&self.files.folder("tokenizer"), clip_length)?;
            Ok(Arc::new(TextEncoders {
                t5_tokenizer: Arc::new(T5Tokenizer::open(&self.files.folder("tokenizer_2"))?),
                t5: T5Encoder::load(&self.device, &self.merged(t5_scope, LoraPart::T5), t5)?,
                clip_tokenizer: Arc::new(clip_tokenizer),
                clip: ClipTextModel::load(&self.device, &self.merged(clip_scope, LoraPart::Clip), clip)?,
            }))
        })?;
        let used = loras.used(&TEXT);
        if used.is_empty() {
            return Ok(Arc::clone(plain));
        }
        let with_loras = || {
            Ok(TextEncoders {
                t5_tokenizer: Arc::clone(&plain.t5_tokenizer),
                t5: plain.t5.with_loras(AppliedLoras::new(&used, LoraPart::T5))?,
                clip_tokenizer: Arc::clone(&plain.clip_tokenizer),
                clip: plain.clip.with_loras(AppliedLoras::new(&used, LoraPart::Clip))?,
            })
        };
        load_time::measure(|| Ok(self.texts.get_or_make(&loras.key(&TEXT), with_loras)?.value))
    }

    /// Length of the T5 sequence without building the encoder.
    pub(super) fn t5_length(&self) -> Result<usize> {
        match self.text.peek() {
            Some(text) => Ok(text.t5_tokenizer.length()),
            None => T5Tokenizer::open(&self.files.folder("tokenizer_2")).map(|tokenizer| tokenizer.length()),
        }
    }

    pub(crate) fn image_encoders(&self) -> Result<&ImageEncoders<D>> {
        self.image.get(|| {
            let ((siglip, siglip_scope), (redux, redux_scope)) = self.files.image_encoders()?;
            Ok(ImageEncoders {
                preprocessor: self.files.preprocessor(siglip.image_size)?,
                siglip: SiglipVisionModel::load(&self.device, &siglip_scope, siglip)?,
                redux: ReduxEmbedder::load(&self.device, &redux_scope, redux)?,
            })
        })
    }
}
