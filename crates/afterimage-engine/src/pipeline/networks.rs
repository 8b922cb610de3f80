//! The networks of one base and Redux pair on one device, each built when a request first needs it.

use super::cache::Cache;
use super::lazy::Lazy;
use super::load_time;
use super::loras::{LoraLibrary, LoraSelection, LoraUse};
use super::model_files::ModelFiles;
use super::residence::{Network, Residence};
use crate::memory::Residency;
use crate::models::flux::{FluxTransformer, is_used_once};
use crate::models::vae::Autoencoder;
use crate::models::{ClipTextModel, ReduxEmbedder, SiglipPreprocessor, SiglipVisionModel, T5Encoder};
use crate::options::DtypeChoice;
use crate::safety::Safety;
use crate::tokenizers::{ClipTokenizer, T5Tokenizer};
use crate::weights::lora::{AppliedLoras, LoraPart, MergedLoras};
use crate::weights::{Scope, Streamed};
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
    pub(super) residence: Residence,
    loras: LoraLibrary,
    /// With what is merged into its weights and nothing else.
    pub(super) transformer: Lazy<FluxTransformer<D>>,
    transformers: Cache<Vec<LoraUse>, FluxTransformer<D>>,
    pub(super) decoder: Lazy<Autoencoder<D>>,
    pub(super) autoencoder: Lazy<Autoencoder<D>>,
    /// As the transformer.
    pub(super) text: Lazy<TextEncoders<D>>,
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
        let residence = Residence::new(files.memory_budget(), files.memory_shares(), device.limits(), safety.bytes());
        Ok(Self {
            device,
            files,
            safety,
            residence,
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

    /// Gives up the transformer, or the text encoders, with those that share their weights.
    pub(super) fn release_transformer(&self) {
        self.transformers.clear();
        self.transformer.release();
    }

    /// See [`Networks::release_transformer`].
    pub(super) fn release_text_encoders(&self) {
        self.texts.clear();
        self.text.release();
    }

    /// `scope` as the plan wants this network's weights.
    fn resident(&self, network: Network, scope: Scope) -> Scope {
        match self.residence.residency(network) {
            Residency::Streamed => scope.over(|source| Arc::new(Streamed::all(source))),
            Residency::StreamedOnce => scope.over(|source| Arc::new(Streamed::only(source, is_used_once))),
            Residency::Kept | Residency::Released => scope,
        }
    }

    /// Bytes of the LoRAs that are in memory.
    pub(super) fn lora_bytes(&self) -> u64 {
        self.loras.held_bytes()
    }

    /// `scope` with what is merged into the network `part`.
    pub(super) fn merged(&self, scope: Scope, part: LoraPart) -> Scope {
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

    /// The numbers that are multiplied: `f32`, `bf16` or `int8`. What files hold in blocks may be multiplied as integers
    /// whatever this says.
    pub fn dtype(&self) -> &'static str {
        match self.files.options().dtype {
            DtypeChoice::Int8 => "int8",
            DtypeChoice::Bf16 => "bf16",
            DtypeChoice::F32 => "f32",
            DtypeChoice::Fp8 => "fp8",
            DtypeChoice::Auto => self.device.arithmetic(),
        }
    }

    /// What runs.
    pub fn facts(&self) -> ModelFacts {
        ModelFacts {
            name: self.files.name(),
            native_size: self.files.native_size(),
            device: self.device.name().to_owned(),
            dtype: self.dtype().to_owned(),
            checkers: self.safety.names(),
        }
    }

    /// The transformer with what `loras` add to it. The weights are shared by all: one with other LoRAs costs their own
    /// numbers, and no other knows of them.
    pub(crate) fn transformer(&self, loras: &LoraSelection) -> Result<Arc<FluxTransformer<D>>> {
        const PART: LoraPart = LoraPart::Transformer;
        let plain = self.transformer.get(|| {
            let scope = self.merged(self.files.transformer_scope(self.device.wants_rows_of_integers())?, PART);
            FluxTransformer::load(&self.device, &self.resident(Network::Transformer, scope), self.files.flux().clone())
        })?;
        let used = loras.used(&[PART]);
        if used.is_empty() {
            return Ok(plain);
        }
        let with_loras = || plain.with_loras(AppliedLoras::new(&used, PART));
        load_time::measure(|| Ok(self.transformers.get_or_make(&loras.key(&[PART]), with_loras)?.value))
    }

    /// An autoencoder that need not have an encoder.
    pub(super) fn decoder(&self) -> Result<Arc<Autoencoder<D>>> {
        match self.autoencoder.peek() {
            Some(autoencoder) => Ok(autoencoder),
            None => self.decoder.get(|| self.load_autoencoder(false)),
        }
    }

    pub(crate) fn autoencoder(&self) -> Result<Arc<Autoencoder<D>>> {
        self.autoencoder.get(|| self.load_autoencoder(true))
    }

    fn load_autoencoder(&self, with_encoder: bool) -> Result<Autoencoder<D>> {
        let scope = self.resident(Network::Autoencoder, self.files.vae_scope()?);
        let autoencoder = Autoencoder::load(&self.device, &scope, self.files.vae().clone(), with_encoder)?;
        Ok(autoencoder.with_activation_budget(self.residence.autoencoder_bytes(self.device.limits())))
    }

    /// The text encoders with what `loras` add to them; see [`Networks::transformer`].
    pub(crate) fn text_encoders(&self, loras: &LoraSelection) -> Result<Arc<TextEncoders<D>>> {
        let plain = self.text.get(|| {
            let ((clip, clip_scope), (t5, t5_scope)) = self.files.text_encoders()?;
            let clip_length = clip.max_position_embeddings;
            let clip_tokenizer = ClipTokenizer::open(&self.files.folder("tokenizer"), clip_length)?;
            let [t5_scope, clip_scope] = [(t5_scope, LoraPart::T5), (clip_scope, LoraPart::Clip)]
                .map(|(scope, part)| self.resident(Network::Text, self.merged(scope, part)));
            Ok(TextEncoders {
                t5_tokenizer: Arc::new(T5Tokenizer::open(&self.files.folder("tokenizer_2"))?),
                t5: T5Encoder::load(&self.device, &t5_scope, t5)?,
                clip_tokenizer: Arc::new(clip_tokenizer),
                clip: ClipTextModel::load(&self.device, &clip_scope, clip)?,
            })
        })?;
        let used = loras.used(&TEXT);
        if used.is_empty() {
            return Ok(plain);
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

    pub(crate) fn image_encoders(&self) -> Result<Arc<ImageEncoders<D>>> {
        self.image.get(|| {
            let ((siglip, siglip_scope), (redux, redux_scope)) = self.files.image_encoders()?;
            Ok(ImageEncoders {
                preprocessor: self.files.preprocessor(siglip.image_size)?,
                siglip: SiglipVisionModel::load(&self.device, &self.resident(Network::Image, siglip_scope), siglip)?,
                redux: ReduxEmbedder::load(&self.device, &self.resident(Network::Image, redux_scope), redux)?,
            })
        })
    }
}
