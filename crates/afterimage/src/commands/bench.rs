//! `afterimage bench`: times every stage of a generation.

use crate::cancel;
use crate::failure::CommandFailure;
use crate::flags::ModelFlags;
use crate::hub_files::HubFlags;
use crate::origin::Origins;
use crate::output::print_text;
use crate::values;
use afterimage_core::Size;
use afterimage_engine::bench::{self, BenchOptions, BenchReport, RandomContext, TimeSamples};
use clap::{Args, ValueEnum};

/// Time every stage of a generation and print a table
///
/// Runs every model that `vary` and `img2img` run, on noise, and puts the speed of a step in relation to the fastest matrix
/// product that this machine manages in the same run. Peak memory is reported on Linux.
#[derive(Args, Debug)]
pub struct Bench {
    /// Model to measure; has no effect together with --base
    #[arg(long, env = "AFTERIMAGE_PRESET", hide_env_values = true, value_name = "NAME", default_value = "demo")]
    preset: PresetFlag,

    /// Output size in pixels, such as `1024x768`; 16 to 4096 each
    #[arg(
        long,
        env = "AFTERIMAGE_SIZE",
        hide_env_values = true,
        value_name = "WxH",
        default_value = "512x512",
        value_parser = values::size
    )]
    size: Size,

    /// Sampling steps that are timed, 1 to 50
    #[arg(
        long,
        env = "AFTERIMAGE_STEPS",
        hide_env_values = true,
        value_name = "N",
        default_value = "4",
        value_parser = values::steps
    )]
    steps: u32,

    /// Runs to take mean and deviation of, 1 to 100
    #[arg(
        long,
        env = "AFTERIMAGE_REPEAT",
        hide_env_values = true,
        value_name = "N",
        default_value = "1",
        value_parser = values::repeat
    )]
    repeat: u32,

    /// Random context tokens in place of what a prompt and a picture give, 1 to 16384
    ///
    /// No encoder is loaded then. FLUX.1 Redux has 512 of the prompt and 729 of the picture.
    #[arg(
        long,
        env = "AFTERIMAGE_CONTEXT_TOKENS",
        hide_env_values = true,
        value_name = "N",
        value_parser = values::tokens
    )]
    context_tokens: Option<u32>,

    /// Equal tokens that the first of --context-tokens stands for, 1 to 16384; without those it has no effect
    ///
    /// `vary --empty-prompt zeros` has one for all of the prompt's: 730 context tokens, the first of which stands for 512.
    #[arg(
        long,
        env = "AFTERIMAGE_REPEATED_TOKENS",
        hide_env_values = true,
        value_name = "N",
        default_value = "1",
        value_parser = values::tokens
    )]
    repeated_tokens: u32,

    /// Print one JSON object instead of a table
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = values::switch)]
    json: bool,

    #[command(flatten)]
    models: ModelFlags,

    #[command(flatten)]
    hub: HubFlags,
}

/// Values of `--preset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PresetFlag {
    /// The embedded demo model
    Demo,
    /// Random weights in memory: hidden 1024 = 8 x 128, 4 double and 8 single blocks, T5 width 4096, FLUX's VAE
    Medium,
}

impl From<PresetFlag> for bench::Preset {
    fn from(preset: PresetFlag) -> Self {
        match preset {
            PresetFlag::Demo => Self::Demo,
            PresetFlag::Medium => Self::Medium,
        }
    }
}

impl Bench {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        cancel::install()?;
        self.models.take_threads()?;
        let options = BenchOptions {
            engine: self.hub.resolved(self.models.engine_options(origins)?, false, &|flag| origins.of_flag(flag))?,
            preset: self.preset.into(),
            size: self.size,
            steps: self.steps,
            repeat: self.repeat,
            context: self
                .context_tokens
                .map(|tokens| RandomContext { tokens: tokens as usize, first_stands_for: self.repeated_tokens }),
        };
        let report =
            bench::run(&options, &cancel::requested).map_err(|error| CommandFailure::from_error(&error, origins))?;
        if self.json {
            let text = serde_json::to_string(&report).map_err(|error| CommandFailure::other(error.to_string()))?;
            return print_text(&text);
        }
        print_text(&table(&report))
    }
}

/// The report for people.
fn table(report: &BenchReport) -> String {
    let BenchReport { model, device, dtype, threads, instructions, width, height, steps, repeat, .. } = report;
    let mut lines = vec![
        format!("{model}, {device}, {dtype}, {threads} threads, {instructions}"),
        format!(
            "{width}x{height}: {} image and {} context tokens; {repeat} x {steps} steps",
            report.image_tokens, report.context_tokens
        ),
        String::new(),
        format!("{:<22}{:>12}{:>12}{:>12}{:>18}", "milliseconds", "mean", "deviation", "fastest", "of the ceilings"),
        format!("{:<22}{:>12.1}", "load", report.load_ms),
    ];
    let shares = report.ceiling_shares;
    let stages = [
        ("image encode", report.image_encode, shares.image_encode),
        ("text encode", report.text_encode, shares.text_encode),
        ("VAE encode (img2img)", Some(report.vae_encode), shares.vae_encode),
        ("conditioning", Some(report.condition), shares.condition),
        ("step", Some(report.step), shares.step),
        ("step, cached", report.cached_step, None),
        ("VAE decode", Some(report.decode), shares.decode),
    ];
    for (name, samples, share) in stages {
        let Some(TimeSamples { mean, deviation, min, .. }) = samples else { continue };
        let share = share.map_or_else(String::new, |share| format!("{:.0} %", 100.0 * share));
        lines.push(format!("{name:<22}{mean:>12.1}{deviation:>12.1}{min:>12.1}{share:>18}"));
    }
    lines.push(String::new());
    if let Some(cached) = report.cached_step.map(|_| report.cached_steps) {
        lines.push(format!("steps from the cache       {cached} of {}", steps * repeat));
    }
    lines.push(format!("seconds per step (median)  {:.3}", report.seconds_per_step));
    lines.push(format!(
        "step, GFLOP/s              {:.0}, {:.0} % of the ceiling",
        report.step_gflops_per_second,
        100.0 * report.step_gflops_per_second / report.gemm_gflops_per_second
    ));
    lines.push(format!(
        "its products, attention    {:.0}, {:.0} % of the ceiling; {:.0}, {:.0} %",
        report.product_gflops_per_second,
        100.0 * report.product_gflops_per_second / report.gemm_gflops_per_second,
        report.attention_gflops_per_second,
        100.0 * report.attention_gflops_per_second / report.gemm_gflops_per_second
    ));
    lines.push(format!("matrix product, GFLOP/s    {:.0}, the ceiling", report.gemm_gflops_per_second));
    let bf16 = report.gemm_bf16_gflops_per_second.map_or_else(|| "-".to_owned(), |speed| format!("{speed:.0}"));
    lines.push(format!(
        "f32, bf16, int8; copy      {:.0}, {bf16}, {:.0}; {:.1} GB/s",
        report.gemm_f32_gflops_per_second, report.gemm_int8_gflops_per_second, report.copy_gbytes_per_second
    ));
    lines.push(match report.peak_memory_bytes {
        Some(bytes) => format!("peak memory, MiB           {}", bytes >> 20),
        None => "peak memory                not told by this system".to_owned(),
    });
    lines.join("\n")
}
