//! Timing of every stage of a generation, in relation to what the machine can do at most.
//!
//! | file | what |
//! |---|---|
//! | `subject.rs` | what is measured: the embedded model, folders, or random weights of a known size |
//! | `measure.rs` | the run |
//! | `ideal.rs` | what a stage would take at the ceilings |
//! | `parts.rs` | a step's products and its attention, each alone |
//! | `samples.rs` | what a report says of each stage |
//! | `stage.rs` | times and work of a stage |
//! | `memory.rs` | peak memory of the process |
//! | `processor.rs` | processor time of the process |

mod ideal;
mod measure;
mod memory;
mod parts;
mod processor;
mod samples;
mod stage;
mod subject;

pub use measure::run;
pub use memory::{peak_memory, reset_peak_memory};
pub use processor::processor_seconds;
pub use samples::{StageShares, TimeSamples};

use crate::options::EngineOptions;
use afterimage_core::Size;
use serde::Serialize;

/// What [`run`] measures.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// Models; a preset with weights of its own is used only when no base is named.
    pub engine: EngineOptions,
    /// Model when no base is named.
    pub preset: Preset,
    /// Output size in pixels.
    pub size: Size,
    /// Transformer steps of one run, at least 1.
    pub steps: u32,
    /// Runs, at least 1.
    pub repeat: u32,
    /// What the steps are conditioned on in place of a prompt and a picture; no encoder is loaded then.
    pub context: Option<RandomContext>,
}

/// Random numbers as a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomContext {
    /// Context tokens, at least 1.
    pub tokens: usize,
    /// Equal tokens that the first of them stands for, at least 1: `--empty-prompt zeros` has one for all of the text's.
    pub first_stands_for: u32,
}

/// Models that need no files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The embedded demo model.
    Demo,
    /// Random weights: hidden 1024 = 8 × 128, 4 double and 8 single blocks, text width 4096, FLUX's autoencoder,
    /// conditioned on 512 text and 729 image tokens.
    Medium,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Name of the model.
    pub model: String,
    /// Device.
    pub device: String,
    /// Compute type.
    pub dtype: String,
    /// Worker threads.
    pub threads: usize,
    /// Instruction set of the kernels, or the name of the card.
    pub instructions: String,
    /// Output width in pixels.
    pub width: u32,
    /// Output height in pixels.
    pub height: u32,
    /// Transformer steps of a run.
    pub steps: u32,
    /// Runs.
    pub repeat: u32,
    /// Tokens of the latents.
    pub image_tokens: usize,
    /// Text tokens and Redux tokens.
    pub context_tokens: usize,
    /// Reading configurations and weights, building networks.
    pub load_ms: f64,
    /// SigLIP and Redux of one picture; absent for random weights.
    pub image_encode: Option<TimeSamples>,
    /// T5 and CLIP of one prompt; absent for random weights.
    pub text_encode: Option<TimeSamples>,
    /// VAE encoder, as image-to-image uses it.
    pub vae_encode: TimeSamples,
    /// Embedding the context, modulations of all steps.
    pub condition: TimeSamples,
    /// One transformer step that is computed to its end.
    pub step: TimeSamples,
    /// One that reuses an earlier one's blocks; absent when none did.
    pub cached_step: Option<TimeSamples>,
    /// How many did, over all runs. On noise without a model's movement they say little about pictures.
    pub cached_steps: usize,
    /// VAE decoder.
    pub decode: TimeSamples,
    /// Median of `condition`, for scripts.
    pub condition_ms: f64,
    /// Median of `decode`, for scripts.
    pub decode_ms: f64,
    /// Median step in seconds, for scripts.
    pub seconds_per_step: f64,
    /// Every step that was computed to its end in seconds, in order.
    pub step_seconds: Vec<f64>,
    /// Seconds that the processor computed for each step, over all threads; empty where the system does not tell.
    pub step_processor_seconds: Vec<f64>,
    /// The same of each decoding.
    pub decode_processor_seconds: Vec<f64>,
    /// Billions of floating-point operations in one step.
    pub step_gflop: f64,
    /// Speed of the median step.
    pub step_gflops_per_second: f64,
    /// Speed of the widest layer's product alone, with the model's weights, on as many tokens as it gets at once.
    pub product_gflops_per_second: f64,
    /// Speed of the attention alone, all tokens to all.
    pub attention_gflops_per_second: f64,
    /// Speed of the best plain matrix product in this run, of the numbers that `dtype` multiplies.
    pub gemm_gflops_per_second: f64,
    /// The same of f32.
    pub gemm_f32_gflops_per_second: f64,
    /// The same of bf16, where the processor has instructions for it.
    pub gemm_bf16_gflops_per_second: Option<f64>,
    /// The same of 8-bit integers in groups of 32.
    pub gemm_int8_gflops_per_second: f64,
    /// Billions of bytes that are read or written a second while memory is copied.
    pub copy_gbytes_per_second: f64,
    /// Each stage as a part of what it would take at this run's ceilings.
    pub ceiling_shares: StageShares,
    /// Largest resident memory of the process in bytes, from loading to the last stage; absent where the system does
    /// not tell.
    pub peak_memory_bytes: Option<u64>,
    /// What each kernel takes in one more run, the longest first; absent where the device cannot tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kernel_times: Vec<KernelTime>,
}

/// What a kernel took, all of its launches together.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTime {
    /// Its name.
    pub kernel: String,
    /// How often it ran.
    pub launches: u64,
    /// How long in all.
    pub milliseconds: f64,
}
