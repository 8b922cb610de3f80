//! Groups of flags that commands share. The doc comments are the help.

use crate::control_flags::NearFlags;
use crate::devices::{self, DeviceWord};
use crate::failure::CommandFailure;
use crate::origin::Origins;
use crate::values::{self, Seed};
use afterimage_core::{Enlarge, OutputFormat, Size};
use afterimage_engine::{
    CacheThreshold, DtypeChoice, EngineOptions, LoraFile, MetadataLevel, usable_cores, use_threads,
};
use clap::Args;
use std::env;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Which models run.
#[derive(Args, Debug)]
#[command(next_help_heading = "Models")]
pub struct ModelPaths {
    /// FLUX base model: a folder in the diffusers layout, or `hub:NAME` as `models pull` fetched it
    ///
    /// The folder holds `transformer/`, `vae/`, `text_encoder/`, `text_encoder_2/`, `tokenizer/`, `tokenizer_2/` and
    /// `scheduler/`; sizes are read from each `config.json`, so small and full-size models both work. Without it the
    /// embedded demo model runs: it needs no download, but keeps a picture's colours and layout, not what it shows.
    #[arg(long, env = "AFTERIMAGE_BASE", hide_env_values = true, value_name = "DIR")]
    pub base: Option<PathBuf>,

    /// Redux model: a folder, or the adapter's file
    ///
    /// The folder holds `image_encoder/`, `image_embedder/` and `feature_extractor/`; it may be the same as --base. It must
    /// have been trained for the base's text width; the embedded demo model's Redux does not fit other bases. A file
    /// (`flux1-redux-dev.safetensors`) needs --image-encoder. Only `vary` uses it.
    #[arg(long, env = "AFTERIMAGE_REDUX", hide_env_values = true, value_name = "PATH")]
    pub redux: Option<PathBuf>,

    /// Weights in place of the base's transformer
    ///
    /// One file, or a folder: safetensors (f32, bf16, f16, fp8 with or without scales) or GGUF, with the names of Black
    /// Forest Labs' release or of diffusers. Its depth, and whether it takes a guidance, are its own. Of an all-in-one
    /// checkpoint the VAE and the text encoders are used where --base has none.
    #[arg(long, env = "AFTERIMAGE_TRANSFORMER", hide_env_values = true, value_name = "PATH")]
    pub transformer: Option<PathBuf>,

    /// Weights that replace the base's T5 encoder: a file (safetensors or GGUF), or a folder
    #[arg(long, env = "AFTERIMAGE_T5", hide_env_values = true, value_name = "PATH", hide_short_help = true)]
    pub t5: Option<PathBuf>,

    /// Weights that replace the base's CLIP text encoder: a file, or a folder
    #[arg(long, env = "AFTERIMAGE_CLIP", hide_env_values = true, value_name = "PATH", hide_short_help = true)]
    pub clip: Option<PathBuf>,

    /// Weights that replace the base's VAE: a file (`ae.safetensors`), or a folder
    #[arg(long, env = "AFTERIMAGE_VAE", hide_env_values = true, value_name = "PATH", hide_short_help = true)]
    pub vae: Option<PathBuf>,

    /// Weights of the SigLIP vision tower in place of the Redux folder's: a file, or a folder
    #[arg(long, env = "AFTERIMAGE_IMAGE_ENCODER", hide_env_values = true, value_name = "PATH", hide_short_help = true)]
    pub image_encoder: Option<PathBuf>,
}

impl ModelPaths {
    /// The same as the engine takes it; everything else is as by default.
    pub fn options(&self) -> EngineOptions {
        EngineOptions {
            base: self.base.clone(),
            redux: self.redux.clone(),
            transformer: self.transformer.clone(),
            t5: self.t5.clone(),
            clip: self.clip.clone(),
            vae: self.vae.clone(),
            image_encoder: self.image_encoder.clone(),
            ..EngineOptions::default()
        }
    }
}

/// Which models run, and where.
#[derive(Args, Debug)]
#[command(next_help_heading = "Models")]
pub struct ModelFlags {
    #[command(flatten)]
    paths: ModelPaths,

    /// A LoRA that is added to the model, and how much of it, -4 to 4: `FILE` or `FILE:SCALE`
    ///
    /// May be given several times; they add up. A safetensors file in the names of diffusers (PEFT), kohya, ai-toolkit,
    /// ComfyUI, Black Forest Labs, XLabs or fal; its parts for CLIP and T5 are used, too. What stands behind the last
    /// colon is the scale when it is a number and there is no file of the whole name. Default: 1; 0 does not use it.
    #[arg(
        long,
        env = "AFTERIMAGE_LORA",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE[:SCALE]",
        value_parser = values::lora
    )]
    lora: Vec<LoraFile>,

    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    ///
    /// `auto` takes the best that this build and this machine offer. Naming one that is not there is an error, never
    /// a silent fall back to a slower one. `serve` takes several, `cuda:0,cuda:1`, or `cuda:all` for every card that can be
    /// used; each has processes of its own.
    #[arg(
        long,
        env = "AFTERIMAGE_DEVICE",
        hide_env_values = true,
        value_name = "DEVICE",
        default_value = "auto",
        value_delimiter = ',',
        value_parser = devices::word
    )]
    device: Vec<DeviceWord>,

    /// Number type of the computation
    ///
    /// With f32 on the CPU a seed gives diffusers' picture up to rounding. bf16 halves the memory of the weights and
    /// changes details of the picture.
    #[arg(long, env = "AFTERIMAGE_DTYPE", hide_env_values = true, value_name = "TYPE", default_value = "auto")]
    dtype: DtypeChoice,

    /// Change up to which a step reuses an earlier one, 0 to 1; 0: every step is computed
    ///
    /// First-Block Cache: when the transformer's first block adds nearly the same as in the last step that was computed, the
    /// other blocks are skipped and what they added then is added again. Faster; the higher, the more the picture changes.
    #[arg(
        long,
        env = "AFTERIMAGE_CACHE_THRESHOLD",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "F",
        default_value = "0",
        allow_hyphen_values = true,
        value_parser = values::cache_threshold
    )]
    cache_threshold: CacheThreshold,

    /// Processor threads that compute, 1 to 1024
    ///
    /// Default: one for every core, however many hardware threads it has. `serve` has --workers processes for each set of models and each device and gives each its
    /// share of the cores, cores / processes; a number named here is each process's.
    #[arg(
        long,
        env = "AFTERIMAGE_THREADS",
        hide_env_values = true,
        value_name = "N",
        allow_hyphen_values = true,
        value_parser = values::threads
    )]
    threads: Option<NonZeroUsize>,

    /// Memory that models and buffers may take, such as `16GB`; default: what the machine has available
    ///
    /// What does not fit together leaves memory after use, text encoders first; a transformer that does not fit is read from
    /// its file at every step. What cannot fit is refused. `serve` has --workers processes for each set of models and each
    /// device; a size named here is each process's, the default its share among those on the same device.
    #[arg(
        long,
        env = "AFTERIMAGE_MEMORY_BUDGET",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "SIZE",
        value_parser = values::memory
    )]
    memory_budget: Option<u64>,
}

impl ModelFlags {
    /// Whether somebody said how much memory may be taken.
    pub fn names_memory(&self) -> bool {
        self.memory_budget.is_some()
    }

    /// Takes the threads that were asked for. To be called once, before anything is computed.
    pub fn take_threads(&self) -> Result<(), CommandFailure> {
        take_threads(self.threads)
    }

    /// The devices that were named, for who takes several.
    pub fn devices(&self) -> &[DeviceWord] {
        &self.device
    }

    /// All of it as one engine takes it; nobody looks at results.
    ///
    /// # Errors
    /// When several devices were named.
    pub fn engine_options(&self, origins: &Origins) -> Result<EngineOptions, CommandFailure> {
        let device = devices::single(&self.device)
            .map_err(|problem| CommandFailure::bad_input(origins.subject("device"), problem))?;
        Ok(EngineOptions { device, ..self.options() })
    }

    /// The same on whatever device.
    pub fn options(&self) -> EngineOptions {
        EngineOptions {
            loras: self.lora.clone(),
            dtype: self.dtype,
            cache_threshold: self.cache_threshold,
            threads: self.threads,
            memory_budget: self.memory_budget,
            ..self.paths.options()
        }
    }
}

/// Takes the threads that were asked for, or one for every core. To be called once, before anything is computed.
pub fn take_threads(threads: Option<NonZeroUsize>) -> Result<(), CommandFailure> {
    // Who sets the variable of rayon's own means it.
    let preset = env::var_os("RAYON_NUM_THREADS").is_some();
    let Some(threads) = threads.or_else(|| usable_cores().filter(|_| !preset)) else { return Ok(()) };
    use_threads(threads).map_err(|error| CommandFailure::other(format!("--threads: {error}")))
}

/// What to make, common to all ways of making it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Picture")]
pub struct RequestFlags {
    /// Text that describes the result; at most 64 KiB
    ///
    /// For `vary` it is optional and restyles; at full --redux-strength the input mostly wins, so lower that or raise
    /// --redux-downsample to let the text speak. `img2img` needs one. CLIP reads the first 77 tokens, T5 the first
    /// 512; the rest has no effect.
    #[arg(long, env = "AFTERIMAGE_PROMPT", hide_env_values = true, value_name = "TEXT")]
    pub prompt: Option<String>,

    /// Output size in pixels, such as `1024x768` or `1024*768`; 16 to 4096 each
    ///
    /// Rounded down to multiples of 16. Time grows faster than the number of pixels. Default: the model's native size
    /// (1024x1024 for FLUX.1); for `img2img` the size of the input.
    #[arg(long, env = "AFTERIMAGE_SIZE", hide_env_values = true, value_name = "WxH", value_parser = values::size)]
    pub size: Option<Size>,

    /// Sampling steps, 1 to 50
    ///
    /// Time is proportional to it. Models distilled for few steps (schnell) want 4. `img2img` runs only the share of
    /// them that --strength says.
    #[arg(
        long,
        env = "AFTERIMAGE_STEPS",
        hide_env_values = true,
        value_name = "N",
        default_value = "28",
        value_parser = values::steps
    )]
    pub steps: u32,

    /// How closely to follow the condition, 1 to 20
    ///
    /// Distilled guidance: costs nothing, high values oversaturate. Models without a guidance embedding (schnell)
    /// ignore it.
    #[arg(
        long,
        env = "AFTERIMAGE_GUIDANCE",
        hide_env_values = true,
        value_name = "F",
        default_value = "3.5",
        value_parser = values::guidance
    )]
    pub guidance: f64,

    /// Seed of the noise; -1 draws one and reports it
    ///
    /// The same seed, settings and weights give the same picture. The noise is that of `torch.Generator("cpu")`, so a
    /// seed used with diffusers on the CPU gives the same picture here.
    #[arg(
        long,
        env = "AFTERIMAGE_SEED",
        hide_env_values = true,
        value_name = "N",
        default_value = "-1",
        value_parser = values::seed
    )]
    pub seed: Seed,

    #[command(flatten)]
    pub near: NearFlags,

    /// Pictures to make, 1 to 4
    ///
    /// One noise stream continues from one to the next, so the first of several equals the only one of one.
    #[arg(
        long,
        env = "AFTERIMAGE_NUM_IMAGES",
        hide_env_values = true,
        value_name = "N",
        default_value = "1",
        value_parser = values::num_images
    )]
    pub num_images: u32,

    /// Whether a large picture is made small first, then enlarged and refined
    ///
    /// Models lose their composition far above the size they were trained on. With two passes it is made at that size
    /// first, in the same shape or, by models that know squares only, as a square that is stretched; the second pass adds
    /// detail under the same condition. Its steps come on top of --steps: a tenth of them with the demo model, else a
    /// third unless the model says otherwise. `img2img` does so above --strength 0.4, or above what the second pass redraws
    /// where that is more.
    #[arg(long, env = "AFTERIMAGE_ENLARGE", hide_env_values = true, value_name = "WHEN", default_value = "auto")]
    pub enlarge: Enlarge,
}

/// What results say of themselves.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct MetadataFlag {
    /// What a result's file says of itself
    ///
    /// PNG and JPEG hold the parameters twice: as the text `parameters` that picture browsers read, and as JSON.
    #[arg(
        long,
        env = "AFTERIMAGE_METADATA",
        hide_env_values = true,
        value_name = "LEVEL",
        default_value = "full",
        help_heading = "Output"
    )]
    pub metadata: MetadataLevel,
}

/// Where the result goes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// File or existing folder to write to; `-` writes to standard output
    ///
    /// A file that is there is replaced, in one move, when the new one is complete. Several pictures get -1, -2, …
    /// before the extension. In a folder, and by default in the working directory, the name is the input's with
    /// `-variation` (`photo.jpg` gives `photo-variation.png`).
    #[arg(short, long, env = "AFTERIMAGE_OUTPUT", hide_env_values = true, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// File format: taken from the output's extension when absent, else png
    ///
    /// An error when it contradicts the extension of --output.
    #[arg(long, env = "AFTERIMAGE_FORMAT", hide_env_values = true, value_name = "FORMAT", ignore_case = true)]
    pub format: Option<OutputFormat>,

    #[command(flatten)]
    pub metadata: MetadataFlag,

    /// Print one JSON object on standard output instead of file names
    ///
    /// Its fields: `outputs`, `inputs` (of each picture `icc`, such as `Display P3 → sRGB` when the colours of its profile
    /// were converted, else null), `seed`, `width`, `height`, `steps` (all that ran), `enlarged_from` (`width` and
    /// `height` of the first pass, null when there was one pass), `timings` (`load_ms`, `image_encode_ms`,
    /// `text_encode_ms`, `denoise_ms`, `decode_ms`, `safety_ms`, `total_ms`), `model`, `device`, `dtype`, `pictures` (of
    /// each `flagged`, null when no safety checker looked, `scores` by checker, and `cached_steps`, those of `steps` that
    /// --cache-threshold skipped).
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = values::switch)]
    pub json: bool,

    /// No progress bar and no summary; errors are still printed
    #[arg(short, long, env = "AFTERIMAGE_QUIET", hide_env_values = true, value_parser = values::switch)]
    pub quiet: bool,
}
