//! The models of one base and Redux pair.

use super::encodings::Encodings;
use super::load_time;
use crate::config::{AfterimageConfig, EnlargeConfig, FluxConfig, SchedulerConfig, VaeConfig};
use crate::models::flux::FluxTransformer;
use crate::models::vae::Autoencoder;
use crate::models::{
    ClipTextConfig, ClipTextModel, ReduxConfig, ReduxEmbedder, SiglipConfig, SiglipPreprocessor, SiglipVisionModel,
    T5Config, T5Encoder,
};
use crate::options::{DeviceChoice, DtypeChoice, EngineOptions};
use crate::tokenizers::{ClipTokenizer, T5Tokenizer};
use crate::weights::{
    Bundle, Component, DEMO, Depth, FluxShape, LayoutSource, RoundedToBf16, Scope, TensorSource, demo, layout,
};
use afterimage_core::{Error, Result, Size};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A value built when it is first asked for; a failure is reported and tried again next time.
struct Lazy<T> {
    value: OnceLock<T>,
    building: Mutex<()>,
}

impl<T> Lazy<T> {
    const fn new() -> Self {
        Self { value: OnceLock::new(), building: Mutex::new(()) }
    }

    fn get(&self, build: impl FnOnce() -> Result<T>) -> Result<&T> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        // Waiting for another request's building is waiting for a model, too.
        load_time::measure(|| {
            // The lock guards no data, so a panic while it was held leaves nothing half-done.
            let _guard: MutexGuard<()> = self.building.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(value) = self.value.get() {
                return Ok(value);
            }
            let built = build()?;
            Ok(self.value.get_or_init(|| built))
        })
    }
}

/// T5 and CLIP with their tokenizers.
pub(super) struct TextEncoders {
    pub t5_tokenizer: T5Tokenizer,
    pub t5: T5Encoder,
    pub clip_tokenizer: ClipTokenizer,
    pub clip: ClipTextModel,
}

/// SigLIP and the Redux embedder.
pub(super) struct ImageEncoders {
    pub preprocessor: SiglipPreprocessor,
    pub siglip: SiglipVisionModel,
    pub redux: ReduxEmbedder,
}

/// Everything a generation needs. Configurations are read and compared when it is opened; weights are mapped and
/// networks built when a request first needs them.
pub struct Models {
    base: Bundle,
    redux: Option<Bundle>,
    options: EngineOptions,
    flux_config: FluxConfig,
    vae_config: VaeConfig,
    scheduler: SchedulerConfig,
    wishes: AfterimageConfig,
    transformer: Lazy<FluxTransformer>,
    decoder: Lazy<Autoencoder>,
    autoencoder: Lazy<Autoencoder>,
    text: Lazy<TextEncoders>,
    image: Lazy<ImageEncoders>,
    encodings: Encodings,
}

impl Models {
    /// Opens the folders that `options` name and reads the configurations.
    ///
    /// # Errors
    /// [`Error::ModelFile`] for a folder or configuration that cannot be used, [`Error::Device`].
    pub fn open(options: &EngineOptions) -> Result<Self> {
        match options.device {
            DeviceChoice::Auto | DeviceChoice::Cpu => {}
            DeviceChoice::Cuda(_) | DeviceChoice::Metal => {
                return Err(Error::Device {
                    device: options.device.to_string(),
                    problem: "this build computes on the processor only; use cpu or auto".to_owned(),
                });
            }
        }
        let base = options.base.as_ref().map_or_else(demo, Bundle::open)?;
        let redux = match (&options.redux, &options.base) {
            (Some(path), _) => Some(Bundle::open(path)?),
            (None, None) => Some(base.folder("redux")),
            // A folder that holds both may be named once.
            (None, Some(_)) => base.has("image_embedder/config.json").then(|| base.clone()),
        };
        let base_config = FluxConfig::read(&base.folder("transformer"))?;
        let vae_config = VaeConfig::read(&base.folder("vae"))?;
        if base_config.in_channels != 4 * vae_config.latent_channels
            || base_config.out_channels() != base_config.in_channels
        {
            return Err(Error::model_file(
                base.folder("transformer").path("config.json"),
                format!(
                    "in_channels: {} does not fit the VAE's {} latent channels; expected {} in and out",
                    base_config.in_channels,
                    vae_config.latent_channels,
                    4 * vae_config.latent_channels
                ),
            ));
        }
        let scheduler = SchedulerConfig::read(&base.folder("scheduler"))?;
        let wishes = AfterimageConfig::read(&base)?;
        Ok(Self {
            base,
            redux,
            options: options.clone(),
            flux_config: base_config,
            vae_config,
            scheduler,
            wishes,
            transformer: Lazy::new(),
            decoder: Lazy::new(),
            autoencoder: Lazy::new(),
            text: Lazy::new(),
            image: Lazy::new(),
            encodings: Encodings::default(),
        })
    }

    /// Output size when a request names none.
    pub fn native_size(&self) -> Size {
        let side = self.vae_config.sample_size as u32;
        Size::new(side, side)
    }

    /// Output sides are multiples of this many pixels: one token.
    pub fn size_step(&self) -> usize {
        2 * self.vae_config.spatial_factor()
    }

    /// Name for people: that of the file or folder the transformer comes from. Without the folders above it, since it
    /// stands in every result, which leaves the machine.
    pub fn name(&self) -> String {
        match (&self.options.transformer, &self.options.base) {
            (Some(path), _) | (None, Some(path)) => last_name(path),
            (None, None) => DEMO.to_owned(),
        }
    }

    /// Where a part of the base comes from, for messages.
    pub(super) fn part(&self, folder: &str) -> PathBuf {
        self.base.path(folder)
    }

    /// Where the transformer comes from, for messages.
    pub(super) fn transformer_part(&self) -> PathBuf {
        self.options.transformer.clone().unwrap_or_else(|| self.part("transformer"))
    }

    /// Where the picture encoders come from, for messages.
    pub(super) fn redux_part(&self) -> PathBuf {
        self.redux.as_ref().map_or_else(|| self.part("image_encoder"), |redux| redux.path("image_encoder"))
    }

    /// Device that computes: this build knows only the processor.
    #[expect(clippy::unused_self, reason = "a build with other devices asks the options")]
    pub fn device(&self) -> &'static str {
        "cpu"
    }

    /// Compute type, `f32` or `bf16`.
    pub fn dtype(&self) -> &'static str {
        match self.options.dtype {
            DtypeChoice::Bf16 => "bf16",
            DtypeChoice::Auto | DtypeChoice::F32 => "f32",
        }
    }

    pub(super) fn scheduler(&self) -> &SchedulerConfig {
        &self.scheduler
    }

    pub(super) fn vae_config(&self) -> &VaeConfig {
        &self.vae_config
    }

    /// How the model wants large pictures made, when it says so.
    pub(super) fn enlarge_config(&self) -> Option<EnlargeConfig> {
        self.wishes.enlarge
    }

    /// Prompts and pictures that earlier requests encoded.
    pub(super) fn encodings(&self) -> &Encodings {
        &self.encodings
    }

    pub(super) fn flux_config(&self) -> &FluxConfig {
        &self.flux_config
    }

    fn scope(&self, source: LayoutSource) -> Scope {
        let source: Arc<dyn TensorSource> = Arc::new(source);
        match self.options.dtype {
            DtypeChoice::Bf16 => Scope::new(Arc::new(RoundedToBf16(source))),
            DtypeChoice::Auto | DtypeChoice::F32 => Scope::new(source),
        }
    }

    pub(crate) fn transformer(&self) -> Result<&FluxTransformer> {
        self.transformer.get(|| {
            let folder = self.base.folder("transformer");
            let source = match &self.options.transformer {
                Some(path) => {
                    let source = layout::flux(Arc::new(Component::open_file(path)?))?;
                    FluxShape::read(&source)?.check(&source, &self.flux_config)?;
                    source
                }
                None => layout::flux(Arc::new(Component::open(&folder)?))?,
            };
            check_depths(&source, &folder, &self.flux_config.depths())?;
            FluxTransformer::load(&self.scope(source), &self.flux_config)
        })
    }

    pub(super) fn decoder(&self) -> Result<&Autoencoder> {
        if let Some(autoencoder) = self.autoencoder.value.get() {
            return Ok(autoencoder);
        }
        self.decoder.get(|| self.load_autoencoder(false))
    }

    pub(crate) fn autoencoder(&self) -> Result<&Autoencoder> {
        self.autoencoder.get(|| self.load_autoencoder(true))
    }

    fn load_autoencoder(&self, with_encoder: bool) -> Result<Autoencoder> {
        let folder = self.base.folder("vae");
        let source = layout::vae(Arc::new(Component::open(&folder)?))?;
        check_depths(&source, &folder, &self.vae_config.depths())?;
        Autoencoder::load(&self.scope(source), &self.vae_config, with_encoder)
    }

    pub(super) fn text_encoders(&self) -> Result<&TextEncoders> {
        self.text.get(|| {
            let (clip_folder, t5_folder) = (self.base.folder("text_encoder"), self.base.folder("text_encoder_2"));
            let clip_config = ClipTextConfig::read(&clip_folder)?;
            let t5_config = T5Config::read(&t5_folder)?;
            same_width(
                &t5_folder,
                "d_model",
                t5_config.d_model,
                "joint_attention_dim",
                self.flux_config.joint_attention_dim,
            )?;
            same_width(
                &clip_folder,
                "hidden_size",
                clip_config.hidden_size,
                "pooled_projection_dim",
                self.flux_config.pooled_projection_dim,
            )?;
            let t5_source = layout::t5(Arc::new(Component::open(&t5_folder)?))?;
            check_depths(&t5_source, &t5_folder, &t5_config.depths())?;
            let clip_source = layout::clip(Arc::new(Component::open(&clip_folder)?))?;
            check_depths(&clip_source, &clip_folder, &clip_config.depths())?;
            let clip_length = clip_config.max_position_embeddings;
            Ok(TextEncoders {
                t5_tokenizer: T5Tokenizer::open(&self.base.folder("tokenizer_2"))?,
                t5: T5Encoder::new(t5_config, &self.scope(t5_source))?,
                clip_tokenizer: ClipTokenizer::open(&self.base.folder("tokenizer"), clip_length)?,
                clip: ClipTextModel::new(clip_config, &self.scope(clip_source))?,
            })
        })
    }

    /// Length of the T5 sequence without building the encoder.
    pub(super) fn t5_length(&self) -> Result<usize> {
        if let Some(text) = self.text.value.get() {
            return Ok(text.t5_tokenizer.length());
        }
        T5Tokenizer::open(&self.base.folder("tokenizer_2")).map(|tokenizer| tokenizer.length())
    }

    pub(super) fn image_encoders(&self) -> Result<&ImageEncoders> {
        let redux = self.redux.as_ref().ok_or_else(|| {
            Error::field(
                "redux",
                "missing; variations need a Redux folder (image_encoder/, image_embedder/, feature_extractor/)",
            )
        })?;
        self.image.get(|| {
            let (siglip_folder, redux_folder) = (redux.folder("image_encoder"), redux.folder("image_embedder"));
            let siglip_config = SiglipConfig::read(&siglip_folder)?;
            let redux_config = ReduxConfig::read(&redux_folder)?;
            let joint = self.flux_config.joint_attention_dim;
            same_width(&redux_folder, "txt_in_features", redux_config.txt_in_features, "joint_attention_dim", joint)?;
            same_width(&siglip_folder, "hidden_size", siglip_config.hidden_size, "redux_dim", redux_config.redux_dim)?;
            let siglip_source = layout::siglip(Arc::new(Component::open(&siglip_folder)?))?;
            check_depths(&siglip_source, &siglip_folder, &siglip_config.depths())?;
            Ok(ImageEncoders {
                preprocessor: SiglipPreprocessor::read(&redux.folder("feature_extractor"), siglip_config.image_size)?,
                siglip: SiglipVisionModel::new(siglip_config, &self.scope(siglip_source))?,
                redux: ReduxEmbedder::new(
                    redux_config,
                    &self.scope(layout::redux(Arc::new(Component::open(&redux_folder)?))?),
                )?,
            })
        })
    }
}

/// The last part of `path` that is a name; of `.` or `..` that of the folder it stands for.
fn last_name(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    name(path).or_else(|| name(&path.canonicalize().ok()?)).unwrap_or_else(|| "model".to_owned())
}

/// Refuses weights with blocks that the configuration in `folder` does not count: half a model would run.
fn check_depths(source: &LayoutSource, folder: &Bundle, depths: &[Depth]) -> Result<()> {
    match source.beyond(depths) {
        Some(beyond) => Err(Error::model_file(folder.path("config.json"), beyond.to_string())),
        None => Ok(()),
    }
}

/// Refuses an encoder whose width is not what its reader expects.
fn same_width(folder: &Bundle, field: &str, width: usize, expected_field: &str, expected: usize) -> Result<()> {
    if width == expected {
        return Ok(());
    }
    Err(Error::model_file(
        folder.path("config.json"),
        format!("{field}: {width} does not fit {expected_field} {expected}; the folders must belong to one model"),
    ))
}
