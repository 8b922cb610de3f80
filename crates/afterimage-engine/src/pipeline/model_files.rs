//! The folders of one base and Redux pair: opened, their configurations read and checked against each other. Nothing here
//! knows of devices.

use crate::bundle::last_name;
use crate::config::{AfterimageConfig, EnlargeConfig, FluxConfig, SchedulerConfig, VaeConfig};
use crate::models::{ClipTextConfig, ReduxConfig, SiglipConfig, T5Config};
use crate::options::{DtypeChoice, EngineOptions};
use crate::weights::{
    Bundle, Component, DEMO, Depth, FluxShape, LayoutSource, RoundedToBf16, Scope, TensorSource, demo, layout,
};
use afterimage_core::{Error, Field, Result, Size};
use std::path::PathBuf;
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
            (Some(path), _) => Some(Bundle::open(path)?),
            (None, None) => Some(base.folder("redux")),
            // A folder that holds both may be named once.
            (None, Some(_)) => base.has("image_embedder/config.json").then(|| base.clone()),
        };
        let flux = FluxConfig::read(&base.folder("transformer"))?;
        let vae = VaeConfig::read(&base.folder("vae"))?;
        if flux.in_channels != 4 * vae.latent_channels || flux.out_channels() != flux.in_channels {
            return Err(Error::model_file(
                base.folder("transformer").path("config.json"),
                format!(
                    "in_channels: {} does not fit the VAE's {} latent channels; expected {} in and out",
                    flux.in_channels,
                    vae.latent_channels,
                    4 * vae.latent_channels
                ),
            ));
        }
        let scheduler = SchedulerConfig::read(&base.folder("scheduler"))?;
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

    /// Compute type, `f32` or `bf16`.
    pub fn dtype(&self) -> &'static str {
        match self.options.dtype {
            DtypeChoice::Bf16 => "bf16",
            DtypeChoice::Auto | DtypeChoice::F32 => "f32",
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

    /// Where a part of the base comes from, for messages.
    pub fn part(&self, folder: &str) -> PathBuf {
        self.base.path(folder)
    }

    /// Where the transformer comes from, for messages.
    pub fn transformer_part(&self) -> PathBuf {
        self.options.transformer.clone().unwrap_or_else(|| self.part("transformer"))
    }

    /// Where the picture encoders come from, for messages.
    pub fn redux_part(&self) -> PathBuf {
        self.redux.as_ref().map_or_else(|| self.part("image_encoder"), |redux| redux.path("image_encoder"))
    }

    /// The Redux folder.
    ///
    /// # Errors
    /// [`Error::Field`] when there is none.
    pub fn redux(&self) -> Result<&Bundle> {
        self.redux.as_ref().ok_or_else(|| {
            Error::field(
                Field::Redux,
                "missing; variations need a Redux folder (image_encoder/, image_embedder/, feature_extractor/)",
            )
        })
    }

    /// The transformer's tensors.
    ///
    /// # Errors
    /// [`Error::ModelFile`] or [`Error::Tensor`] for a file that is missing or does not fit its configuration.
    pub fn transformer_scope(&self) -> Result<Scope> {
        let folder = self.base.folder("transformer");
        let source = match &self.options.transformer {
            Some(path) => {
                let source = layout::flux(Arc::new(Component::open_file(path)?))?;
                FluxShape::read(&source)?.check(&source, &self.flux)?;
                source
            }
            None => layout::flux(Arc::new(Component::open(&folder)?))?,
        };
        self.checked_scope(source, &folder, &self.flux.depths())
    }

    /// The autoencoder's tensors.
    ///
    /// # Errors
    /// As [`ModelFiles::transformer_scope`].
    pub fn vae_scope(&self) -> Result<Scope> {
        let folder = self.base.folder("vae");
        let source = layout::vae(Arc::new(Component::open(&folder)?))?;
        self.checked_scope(source, &folder, &self.vae.depths())
    }

    /// Configurations and tensors of CLIP and T5.
    ///
    /// # Errors
    /// As [`ModelFiles::transformer_scope`].
    pub fn text_encoders(&self) -> Result<((ClipTextConfig, Scope), (T5Config, Scope))> {
        let (clip_folder, t5_folder) = (self.base.folder("text_encoder"), self.base.folder("text_encoder_2"));
        let (clip, t5) = (ClipTextConfig::read(&clip_folder)?, T5Config::read(&t5_folder)?);
        let FluxConfig { joint_attention_dim, pooled_projection_dim, .. } = self.flux;
        same_width(&t5_folder, "d_model", t5.d_model, "joint_attention_dim", joint_attention_dim)?;
        same_width(&clip_folder, "hidden_size", clip.hidden_size, "pooled_projection_dim", pooled_projection_dim)?;
        let t5_source = layout::t5(Arc::new(Component::open(&t5_folder)?))?;
        let t5_scope = self.checked_scope(t5_source, &t5_folder, &t5.depths())?;
        let clip_source = layout::clip(Arc::new(Component::open(&clip_folder)?))?;
        let clip_scope = self.checked_scope(clip_source, &clip_folder, &clip.depths())?;
        Ok(((clip, clip_scope), (t5, t5_scope)))
    }

    /// Configurations and tensors of `SigLIP` and the Redux embedder.
    ///
    /// # Errors
    /// As [`ModelFiles::transformer_scope`]; [`Error::Field`] without a Redux folder.
    pub fn image_encoders(&self) -> Result<((SiglipConfig, Scope), (ReduxConfig, Scope))> {
        let folder = self.redux()?;
        let (siglip_folder, redux_folder) = (folder.folder("image_encoder"), folder.folder("image_embedder"));
        let (siglip, redux) = (SiglipConfig::read(&siglip_folder)?, ReduxConfig::read(&redux_folder)?);
        let joint = self.flux.joint_attention_dim;
        same_width(&redux_folder, "txt_in_features", redux.txt_in_features, "joint_attention_dim", joint)?;
        same_width(&siglip_folder, "hidden_size", siglip.hidden_size, "redux_dim", redux.redux_dim)?;
        let siglip_source = layout::siglip(Arc::new(Component::open(&siglip_folder)?))?;
        let siglip_scope = self.checked_scope(siglip_source, &siglip_folder, &siglip.depths())?;
        let redux_scope = self.scope(layout::redux(Arc::new(Component::open(&redux_folder)?))?);
        Ok(((siglip, siglip_scope), (redux, redux_scope)))
    }

    /// Refuses weights with blocks that the configuration in `folder` does not count: half a model would run.
    fn checked_scope(&self, source: LayoutSource, folder: &Bundle, depths: &[Depth]) -> Result<Scope> {
        source.check_depths(&folder.path("config.json"), depths)?;
        Ok(self.scope(source))
    }

    fn scope(&self, source: LayoutSource) -> Scope {
        let source: Arc<dyn TensorSource> = Arc::new(source);
        match self.options.dtype {
            DtypeChoice::Bf16 => Scope::new(Arc::new(RoundedToBf16(source))),
            DtypeChoice::Auto | DtypeChoice::F32 => Scope::new(source),
        }
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
