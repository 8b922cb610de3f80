//! `afterimage bench`: times every stage of a generation.

use crate::cancel;
use crate::failure::Failure;
use crate::flags::ModelFlags;
use crate::origin::Origins;
use crate::output::print_text;
use crate::values;
use afterimage_core::Size;
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

/// Time every stage of a generation and print a table
///
/// Runs a variation (and encodes a picture as `img2img` does) with a drawn picture of noise as input. Speeds are put in
/// relation to the fastest matrix product that this machine manages in the same run.
#[derive(Args, Debug)]
pub struct Bench {
    /// Model that is measured; has no effect together with --base
    #[arg(long, env = "AFTERIMAGE_PRESET", hide_env_values = true, value_name = "NAME", default_value = "demo")]
    preset: Preset,

    /// Output size in pixels, WIDTHxHEIGHT; default: 512x512
    #[arg(
        long,
        env = "AFTERIMAGE_SIZE",
        hide_env_values = true,
        value_name = "WxH",
        allow_hyphen_values = true,
        value_parser = values::size
    )]
    size: Option<Size>,

    /// Sampling steps that are timed, 1 to 50
    #[arg(
        long,
        env = "AFTERIMAGE_STEPS",
        hide_env_values = true,
        value_name = "N",
        default_value = "4",
        allow_hyphen_values = true,
        value_parser = values::steps
    )]
    steps: u32,

    /// Times that everything is repeated, 1 to 100; the table gives mean and deviation
    #[arg(
        long,
        env = "AFTERIMAGE_REPEAT",
        hide_env_values = true,
        value_name = "N",
        default_value = "1",
        allow_hyphen_values = true,
        value_parser = values::repeat
    )]
    repeat: u32,

    /// Print one JSON object instead of a table
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = BoolishValueParser::new())]
    json: bool,

    #[command(flatten)]
    models: ModelFlags,
}

/// Values of `--preset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// The embedded demo model
    Demo,
    /// Random weights in memory: hidden 1024 = 8 x 128, 4 double and 8 single blocks, T5 width 4096, FLUX's VAE
    Medium,
}

impl Bench {
    /// Runs the command.
    pub fn run(&self, _origins: &Origins) -> Result<(), Failure> {
        cancel::install()?;
        print_text("")
    }
}
