//! The networks of one base and Redux pair on one device, each built when a request first needs it.

use super::lazy::Lazy;
use super::model_files::ModelFiles;
use super::residence::{Network, Residence};
use crate::models::flux::FluxTransformer;
use crate::models::vae::Autoencoder;
use crate::models::{ClipTextModel, ReduxEmbedder, SiglipPreprocessor, SiglipVisionModel, T5Encoder};
use crate::safety::Safety;
use crate::tokenizers::{ClipTokenizer, T5Tokenizer};
use afterimage_core::{ModelFacts, Result};
use afterimage_device::Device;
use std::sync::Arc;

/// T5 and CLIP with their tokenizers.
pub(crate) struct TextEncoders<D: Device> {
    pub t5_tokenizer: T5Tokenizer,
    pub t5: T5Encoder<D>,
    pub clip_tokenizer: ClipTokenizer,
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
    pub(super) transformer: Lazy<FluxTransformer<D>>,
    pub(super) decoder: Lazy<Autoencoder<D>>,
    pub(super) autoencoder: Lazy<Autoencoder<D>>,
    pub(super) text: Lazy<TextEncoders<D>>,
    pub(super) image: Lazy<ImageEncoders<D>>,
}

impl<D: Device> Networks<D> {
    /// The networks in `files`, of which none is built yet, and who looks at what they make.
    pub fn new(device: Arc<D>, files: ModelFiles, safety: Safety) -> Self {
        let residence = Residence::new(files.memory_budget(), safety.bytes());
        Self {
            device,
            files,
            safety,
            residence,
            transformer: Lazy::new(),
            decoder: Lazy::new(),
            autoencoder: Lazy::new(),
            text: Lazy::new(),
            image: Lazy::new(),
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

    pub(crate) fn transformer(&self) -> Result<Arc<FluxTransformer<D>>> {
        self.transformer.get(|| {
            let scope = self.resident(Network::Transformer, self.files.transformer_scope()?);
            FluxTransformer::load(&self.device, &scope, self.files.flux().clone())
        })
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

    pub(crate) fn text_encoders(&self) -> Result<Arc<TextEncoders<D>>> {
        self.text.get(|| {
            let ((clip, clip_scope), (t5, t5_scope)) = self.files.text_encoders()?;
            let clip_length = clip.max_position_embeddings;
            Ok(TextEncoders {
                t5_tokenizer: T5Tokenizer::open(&self.files.folder("tokenizer_2"))?,
                t5: T5Encoder::load(&self.device, &self.resident(Network::Text, t5_scope), t5)?,
                clip_tokenizer: ClipTokenizer::open(&self.files.folder("tokenizer"), clip_length)?,
                clip: ClipTextModel::load(&self.device, &self.resident(Network::Text, clip_scope), clip)?,
            })
        })
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
