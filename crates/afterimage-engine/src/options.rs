//! What to load and where to run it.

use crate::safety::SafetyOptions;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

/// Which models an [`crate::Engine`] serves and on what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineOptions {
    /// FLUX base model in the diffusers folder layout; `None`: the embedded demo model.
    pub base: Option<PathBuf>,
    /// Redux folder, or the Redux adapter's weights file; `None`: the embedded demo model.
    pub redux: Option<PathBuf>,
    /// Weights that replace the base's transformer: a file, an index of shards or a folder. A file may hold the VAE and the
    /// text encoders too, which are used where the base has none.
    pub transformer: Option<PathBuf>,
    /// Weights that replace the base's T5 encoder.
    pub t5: Option<PathBuf>,
    /// Weights that replace the base's CLIP text encoder.
    pub clip: Option<PathBuf>,
    /// Weights that replace the base's VAE.
    pub vae: Option<PathBuf>,
    /// Weights that replace the Redux folder's `SigLIP` vision tower.
    pub image_encoder: Option<PathBuf>,
    /// What is added to the weights for every request.
    #[serde(default)]
    pub loras: Vec<LoraFile>,
    /// The folder in which requests find LoRAs by name, `NAME.safetensors`.
    #[serde(default)]
    pub lora_dir: Option<PathBuf>,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Compute type.
    pub dtype: DtypeChoice,
    /// From which change on a step is computed in place of taking most of it from an earlier one.
    #[serde(default)]
    pub cache_threshold: CacheThreshold,
    /// Threads that compute; `None`: one for every core. For [`crate::use_threads`], an engine itself takes what there is.
    pub threads: Option<NonZeroUsize>,
    /// Bytes of memory that models and buffers may take together; `None`: what the machine has.
    #[serde(default)]
    pub memory_budget: Option<u64>,
    /// Engine processes that share the memory where no budget is given; `None`: this one has all of it.
    #[serde(default)]
    pub memory_shares: Option<NonZeroUsize>,
    /// Who looks at results, and what becomes of those that are flagged.
    pub safety: SafetyOptions,
}

impl EngineOptions {
    /// Everything that names models, by the flags' names.
    pub fn paths(&self) -> [(&'static str, &Option<PathBuf>); 7] {
        let [base, redux, transformer, t5, clip, vae, image_encoder] = Self::PATHS;
        [
            (base, &self.base),
            (redux, &self.redux),
            (transformer, &self.transformer),
            (t5, &self.t5),
            (clip, &self.clip),
            (vae, &self.vae),
            (image_encoder, &self.image_encoder),
        ]
    }

    /// The same, to be changed.
    pub fn paths_mut(&mut self) -> [(&'static str, &mut Option<PathBuf>); 7] {
        let [base, redux, transformer, t5, clip, vae, image_encoder] = Self::PATHS;
        [
            (base, &mut self.base),
            (redux, &mut self.redux),
            (transformer, &mut self.transformer),
            (t5, &mut self.t5),
            (clip, &mut self.clip),
            (vae, &mut self.vae),
            (image_encoder, &mut self.image_encoder),
        ]
    }

    /// The names in [`EngineOptions::paths`].
    pub const PATHS: [&'static str; 7] = ["base", "redux", "transformer", "t5", "clip", "vae", "image-encoder"];
}

/// A LoRA's file and how much of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraFile {
    /// A safetensors file.
    pub path: PathBuf,
    /// Factor on what it adds, −4..=4; at 0 it is not used.
    pub scale: f64,
}

/// The largest relative change of the first block's addition at which a step reuses what an earlier one computed: above 0,
/// at most 1. The default is off, every step is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct CacheThreshold(Option<f64>);

impl CacheThreshold {
    /// The number, where it is not off.
    pub const fn get(self) -> Option<f64> {
        self.0
    }
}

impl TryFrom<f64> for CacheThreshold {
    type Error = String;

    /// 0 is off.
    fn try_from(number: f64) -> Result<Self, Self::Error> {
        if (0.0..=1.0).contains(&number) {
            Ok(Self((number > 0.0).then_some(number)))
        } else {
            Err(format!("{number} is out of range; expected 0 to 1, where 0 is off"))
        }
    }
}

impl From<CacheThreshold> for f64 {
    fn from(threshold: CacheThreshold) -> Self {
        threshold.0.unwrap_or(0.0)
    }
}

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// The best that this build and machine offer.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device with this number.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "expected auto, cpu, cuda, cuda:N or metal".to_owned()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(number) => write!(formatter, "cuda:{number}"),
            Self::Metal => formatter.write_str("metal"),
        }
    }
}

/// Compute type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum DtypeChoice {
    /// What is fast here without a difference that shows.
    ///
    /// bf16 where the processor has instructions for its products (AVX-512 BF16, `FEAT_BF16` of ARM), with the weights as they are stored, else f32.
    /// What files hold in GGUF's types is multiplied as the integers that they are where there are instructions for that
    /// (VNNI, `FEAT_DotProd` of ARM).
    #[default]
    Auto,
    /// Single precision: what diffusers computes in f32.
    F32,
    /// 16-bit brain floats.
    ///
    /// Half the weights' memory. Matrix products are of bf16 numbers where the processor has instructions for them
    /// (AVX-512 BF16, `FEAT_BF16` of ARM), else of weights rounded to bf16 and f32; sums are f32.
    Bf16,
    /// 8-bit integers.
    ///
    /// A quarter of the transformer's memory in f32, half of bf16. Matrices of the transformer's blocks, and what files hold in
    /// GGUF's types, are multiplied as integers, with factors for 128 numbers of the former, for each block of the latter, and
    /// for 512 numbers of what both are multiplied with; the rest is as with bf16.
    Int8,
    /// 8-bit floats, on NVIDIA's cards.
    ///
    /// Matrices of the transformer's blocks, and what files hold in fp8, are multiplied as 8-bit floats (e4m3) with a scale for each
    /// row where the card has them (Ada, Hopper, Blackwell), else as bf16; the rest is as with bf16.
    Fp8,
}
