//! The folders of one base and Redux pair: opened, their configurations read and checked against each other. Nothing here
//! knows of devices.

use super::part::{Part, beside};
use super::published;
use crate::bundle::last_name;
use crate::config::{AfterimageConfig, EnlargeConfig, FluxConfig, SchedulerConfig, VaeConfig};
use crate::inspect::wanted;
use crate::models::{ClipTextConfig, ReduxConfig, SiglipConfig, SiglipPreprocessor, T5Config};
use crate::options::{DtypeChoice, EngineOptions};
use crate::weights::lora::{LoraPart, LoraTargets};
use crate::weights::{
    Bundle, Component, DEMO, Depth, FluxShape, LayoutSource, Rounded, Rounding, Scope, TensorSource, demo, layout,
};
use afterimage_core::{Error, Field, Result, Size};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a model's parts lie and what they say of themselves.
pub(crate) struct ModelFiles {
    base: Bundle,
    redux: Option<Bundle>,
    options: EngineOptions,
    flux: FluxConfig,
    vae: VaeConfig,
    scheduler: SchedulerConfig,
    wishes: AfterimageConfig,
}

impl ModelFiles {
    /// Opens the folders that `options` name and reads the configurations.
    ///
    /// # Errors
    /// [`Error::ModelFile`] for a folder or configuration that cannot be used.
    pub fn open(options: &EngineOptions) -> Result<Self> {
        let base = options.base.as_ref().map_or_else(demo, Bundle::open)?;
        let redux = match (&options.redux, &options.base) {
            // An adapter alone: what else there is, the base may have.
            (Some(path), _) if path.is_file() => Some(base.clone()),
            (Some(path), _) => Some(Bundle::open(path)?),
            (None, None) => Some(base.folder("redux")),
            // A folder that holds both may be named once.
            (None, Some(_)) => base.has("image_embedder/config.json").then(|| base.clone()),
        };
        let transformer = base.folder("transformer");
        let (flux, flux_path) = match &options.transformer {
            Some(path) => transformer_config(path, &transformer)?,
            None => (FluxConfig::read(&transformer)?, transformer.path("config.json")),
        };
        let part = Part {
            folder: base.folder("vae"),
            types: types_of("vae"),
            named: options.vae.as_deref(),
            checkpoint: options.transformer.as_deref(),
        };
        let (vae, _) = part.config(VaeConfig::read, layout::vae, published::vae)?;
        if flux.in_channels != 4 * vae.latent_channels || flux.out_channels() != flux.in_channels {
            return Err(Error::model_file(
                flux_path,
                format!(
                    "in_channels: {} does not fit the VAE's {} latent channels; expected {} in and out",
                    flux.in_channels,
                    vae.latent_channels,
                    4 * vae.latent_channels
                ),
            ));
        }
        let folder = base.folder("scheduler");
        let scheduler = match (&options.transformer, flux.guidance_embeds) {
            // Single files have none; a model that was distilled to few steps has no guidance either.
            (Some(_), true) if !folder.exists() => SchedulerConfig::flux_dev(),
            (Some(_), false) if !folder.exists() => SchedulerConfig::default(),
            _ => SchedulerConfig::read(&folder)?,
        };
        let wishes = AfterimageConfig::read(&base)?;
        Ok(Self { base, redux, options: options.clone(), flux, vae, scheduler, wishes })
    }

    /// Output size when a request names none.
    pub fn native_size(&self) -> Size {
        let side = self.vae.sample_size as u32;
        Size::new(side, side)
    }

    /// Output sides are multiples of this many pixels: one token.
    pub fn size_step(&self) -> usize {
        2 * self.vae.spatial_factor()
    }

    /// Name for people: that of the file or folder the transformer comes from. Without the folders above it, since it
    /// stands in every result, which leaves the machine.
    pub fn name(&self) -> String {
        match (&self.options.transformer, &self.options.base) {
            (Some(path), _) | (None, Some(path)) => last_name(path),
            (None, None) => DEMO.to_owned(),
        }
    }

    /// What they were opened with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// What a LoRA can change in the network `part`.
    ///
    /// # Errors
    /// Those of [`ModelFiles::text_encoders`] for these.
    pub fn lora_targets(&self, part: LoraPart) -> Result<Arc<LoraTargets>> {
        let (wanted, ended) = match part {
            LoraPart::Transformer => wanted::flux(&self.flux),
            LoraPart::Clip => wanted::clip(self.text_encoders()?.0.0),
            LoraPart::T5 => wanted::t5(self.text_encoders()?.1.0),
        };
        ended.map(|()| Arc::new(LoraTargets::new(part, &wanted)))
    }

    /// Bytes of memory that may be taken, when somebody said so.
    pub fn memory_budget(&self) -> Option<u64> {
        self.options.memory_budget
    }

    /// Processes that share the memory where there is no budget.
    pub fn memory_shares(&self) -> u64 {
        self.options.memory_shares.map_or(1, |shares| shares.get() as u64)
    }

    /// What would take less memory, as the end of a sentence.
    pub fn memory_advice(&self) -> &'static str {
        match self.options.dtype {
            // What is rounded is copied.
            DtypeChoice::Bf16 => {
                "; without --dtype bf16 weights are read from the file, and a GGUF or fp8 file takes less"
            }
            DtypeChoice::Int8 => {
                "; without --dtype int8 weights are read from the file, and a GGUF file takes as little"
            }
            DtypeChoice::Auto | DtypeChoice::F32 | DtypeChoice::Fp8 => "; a GGUF or fp8 file takes less",
        }
    }

    /// The transformer's configuration.
    pub fn flux(&self) -> &FluxConfig {
        &self.flux
    }

    /// The autoencoder's configuration.
    pub fn vae(&self) -> &VaeConfig {
        &self.vae
    }

    /// The scheduler's configuration.
    pub fn scheduler(&self) -> &SchedulerConfig {
        &self.scheduler
    }

    /// How the model wants large pictures made, when it says so.
    pub fn enlarge(&self) -> Option<EnlargeConfig> {
        self.wishes.enlarge
    }

    /// A folder of the base.
    pub fn folder(&self, name: &str) -> Bundle {
        self.base.folder(name)
    }

    /// Where a part comes from, by its folder's name, for messages.
    pub fn part(&self, folder: &str) -> PathBuf {
        self.weights_of(folder).path()
    }

    /// Where the picture encoders come from, for messages.
    pub fn redux_part(&self) -> PathBuf {
        self.part("image_encoder")
    }

    /// A part of the model by its folder's name.
    fn weights_of(&self, folder: &str) -> Part<'_> {
        let options = &self.options;
        let (named, in_redux) = match folder {
            "transformer" => (&options.transformer, false),
            "vae" => (&options.vae, false),
            "text_encoder" => (&options.clip, false),
            "text_encoder_2" => (&options.t5, false),
            "image_encoder" => (&options.image_encoder, true),
            _ => (&options.redux, true),
        };
        let adapter = folder != "image_embedder" || options.redux.as_ref().is_some_and(|path| path.is_file());
        let bundle = self.redux.as_ref().filter(|_| in_redux).unwrap_or(&self.base);
        Part {
            folder: bundle.folder(folder),
            types: types_of(folder),
            named: named.as_deref().filter(|_| adapter),
            checkpoint: options.transformer.as_deref().filter(|_| !in_redux),
        }
    }

    /// The Redux folder.
    ///
    /// # Errors
    /// [`Error::Field`] when there is none.
    fn redux(&self) -> Result<&Bundle> {
        self.redux.as_ref().ok_or_else(|| {
            Error::field(
                Field::Redux,
                "missing; variations need a Redux folder (image_encoder/, image_embedder/, feature_extractor/)",
            )
        })
    }

    /// The transformer's tensors; what is rounded to integers has one factor a row or one for each block.
    ///
    /// # Errors
    /// [`Error::ModelFile`] or [`Error::Tensor`] for a file that is missing or does not fit its configuration.
    pub fn transformer_scope(&self, rows_of_integers: bool) -> Result<Scope> {
        let part = self.weights_of("transformer");
        let source = part.open(layout::flux)?;
        source.check_depths(&part.folder.path("config.json"), &self.flux.depths())?;
        Ok(match self.options.dtype {
            DtypeChoice::Int8 => {
                let to = if rows_of_integers { Rounding::RowsOfInt8 } else { Rounding::Int8 };
                Scope::new(Arc::new(Rounded { source: Arc::new(source), to }))
            }
            DtypeChoice::Fp8 => Scope::new(Arc::new(Rounded { source: Arc::new(source), to: Rounding::Fp8 })),
            DtypeChoice::Auto | DtypeChoice::F32 | DtypeChoice::Bf16 => self.scope(source),
        })
    }

    /// The autoencoder's tensors.
    ///
    /// # Errors
    /// As [`ModelFiles::transformer_scope`].
    pub fn vae_scope(&self) -> Result<Scope> {
        let part = self.weights_of("vae");
        self.checked_scope(part.open(layout::vae)?, &part.folder.path("config.json"), &self.vae.depths())
    }

    /// Configurations and tensors of CLIP and T5.
    ///
    /// # Errors
    /// As [`ModelFiles::transformer_scope`].
    pub fn text_encoders(&self) -> Result<((ClipTextConfig, Scope), (T5Config, Scope))> {
        let (clip_part, t5_part) = (self.weights_of("text_encoder"), self.weights_of("text_encoder_2"));
        let (clip, clip_path) = clip_part.config(ClipTextConfig::read, layout::clip, published::clip)?;
        let (t5, t5_path) = t5_part.config(T5Config::read, layout::t5, published::t5)?;
        let FluxConfig { joint_attention_dim, pooled_projection_dim, .. } = self.flux;
        same_width(&t5_path, "d_model", t5.d_model, "joint_attention_dim", joint_attention_dim)?;
        same_width(&clip_path, "hidden_size", clip.hidden_size, "pooled_projection_dim", pooled_projection_dim)?;
        let t5_scope = self.checked_scope(t5_part.open(layout::t5)?, &t5_path, &t5.depths())?;
        let clip_scope = self.checked_scope(clip_part.open(layout::clip)?, &clip_path, &clip.depths())?;
        Ok(((clip, clip_scope), (t5, t5_scope)))
    }

    /// Configurations and tensors of `SigLIP` and the Redux embedder.
    ///
    /// # Errors
    /// As [`ModelFiles::transformer_scope`]; [`Error::Field`] without a Redux model.
    pub fn image_encoders(&self) -> Result<((SiglipConfig, Scope), (ReduxConfig, Scope))> {
        self.redux()?;
        let (siglip_part, redux_part) = (self.weights_of("image_encoder"), self.weights_of("image_embedder"));
        if redux_part.named.is_some() && siglip_part.named.is_none() && !siglip_part.folder.exists() {
            let problem =
                "is the adapter alone; name SigLIP's vision tower as well (--image-encoder), or a Redux folder";
            return Err(Error::field(Field::Redux, problem));
        }
        let (siglip, siglip_path) = siglip_part.config(SiglipConfig::read, layout::siglip, published::siglip)?;
        let (redux, redux_path) = redux_part.config(ReduxConfig::read, layout::redux, published::redux)?;
        let joint = self.flux.joint_attention_dim;
        same_width(&redux_path, "txt_in_features", redux.txt_in_features, "joint_attention_dim", joint)?;
        same_width(&siglip_path, "hidden_size", siglip.hidden_size, "redux_dim", redux.redux_dim)?;
        let siglip_scope = self.checked_scope(siglip_part.open(layout::siglip)?, &siglip_path, &siglip.depths())?;
        let redux_scope = self.scope(redux_part.open(layout::redux)?);
        Ok(((siglip, siglip_scope), (redux, redux_scope)))
    }

    /// How pictures are made ready for a `SigLIP` of this picture size.
    ///
    /// # Errors
    /// [`Error::ModelFile`] for a configuration that is missing or cannot be used; [`Error::Field`] without a Redux model.
    pub fn preprocessor(&self, image_size: usize) -> Result<SiglipPreprocessor> {
        let folder = self.redux()?.folder("feature_extractor");
        let beside = || beside(self.options.image_encoder.as_deref()?).filter(|it| it.has(SiglipPreprocessor::FILE));
        match beside().filter(|_| !folder.has(SiglipPreprocessor::FILE)) {
            Some(folder) => SiglipPreprocessor::read(&folder, image_size),
            // Single files come without one; all of SigLIP's towers are fed alike.
            None if self.options.image_encoder.is_some() && !folder.exists() => {
                SiglipPreprocessor::published(image_size)
            }
            None => SiglipPreprocessor::read(&folder, image_size),
        }
    }

    /// Refuses weights with blocks that the configuration in the file `config` does not count: half a model would run.
    fn checked_scope(&self, source: LayoutSource, config: &Path, depths: &[Depth]) -> Result<Scope> {
        source.check_depths(config, depths)?;
        Ok(self.scope(source))
    }

    fn scope(&self, source: LayoutSource) -> Scope {
        let source: Arc<dyn TensorSource> = Arc::new(source);
        match self.options.dtype {
            DtypeChoice::Bf16 => Scope::new(Arc::new(Rounded { source, to: Rounding::Bf16 })),
            DtypeChoice::Auto | DtypeChoice::F32 | DtypeChoice::Int8 | DtypeChoice::Fp8 => Scope::new(source),
        }
    }
}

/// What configurations of the network in `folder` call it, in transformers' `model_type` or diffusers' `_class_name`.
fn types_of(folder: &str) -> &'static [&'static str] {
    match folder {
        "transformer" => &["FluxTransformer2DModel"],
        "vae" => &["AutoencoderKL"],
        "text_encoder" => &["clip_text_model", "clip"],
        "text_encoder_2" => &["t5", "mt5"],
        "image_encoder" => &["siglip_vision_model", "siglip"],
        _ => &["ReduxImageEncoder"],
    }
}

/// The configuration of the transformer that replaces the one in `folder`, as its own shapes tell it. Only the split of a
/// head into rotary axes is not among them: the base's or a neighbouring configuration has it, or it is FLUX.1's. With it
/// the path of the weights.
fn transformer_config(path: &Path, folder: &Bundle) -> Result<(FluxConfig, PathBuf)> {
    let source = layout::flux(Arc::new(Component::open_path(path)?))?;
    let shape = FluxShape::read(&source)?;
    let base = if folder.has("config.json") { Some(FluxConfig::read(folder)?) } else { None };
    if let Some(base) = &base {
        shape.check(&source, base)?;
    }
    let neighbour = beside(path).and_then(|folder| FluxConfig::read(&folder).ok());
    let axes = base.iter().chain(&neighbour).map(|config| config.axes_dims_rope);
    let axes = axes.chain([FluxConfig::default().axes_dims_rope]);
    let path = source.component().path().to_path_buf();
    let Some(axes) = axes.into_iter().find(|axes| axes.iter().sum::<usize>() == shape.attention_head_dim) else {
        let problem = format!(
            "has heads of {}, and no configuration says how they are split into rotary axes; expected a config.json beside it",
            shape.attention_head_dim
        );
        return Err(Error::model_file(path, problem));
    };
    let config = shape.config(Some(axes));
    config.validate(&path)?;
    Ok((config, path))
}

/// Refuses an encoder whose width is not what its reader expects; `path` tells the width.
fn same_width(path: &Path, field: &str, width: usize, expected_field: &str, expected: usize) -> Result<()> {
    if width == expected {
        return Ok(());
    }
    Err(Error::model_file(
        path,
        format!("{field}: {width} does not fit {expected_field} {expected}; the parts must belong to one model"),
    ))
}
