//! `afterimage models synth`: weights files of made-up numbers.

use crate::failure::CommandFailure;
use crate::origin::Origins;
use crate::output::print_text;
use afterimage_engine::synth::{SynthLayout, SynthOptions, SynthPreset, SynthType, synth};
use clap::Args;
use std::path::PathBuf;

/// Write made-up weights with the names, shapes and types of a published file
///
/// For trying how full-size models load, what memory they take and how fast they are, without a download. The numbers are
/// random, so pictures made with them show nothing. A transformer takes up to 48 GB of disk.
#[derive(Args, Debug)]
pub struct Synth {
    /// File to write, which must not exist; an existing folder gets safetensors shards of up to 10 GB with an index, and a
    /// transformer's `config.json`
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// Which model
    #[arg(long, value_name = "PRESET", default_value = "flux-dev")]
    preset: SynthPreset,

    /// Whose names; by default those of the published file
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<SynthLayout>,

    /// Types of numbers; those that start with q or iq make one GGUF file, never a folder
    #[arg(long, value_name = "TYPE", default_value = "auto")]
    dtype: SynthType,
}

impl Synth {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let options = SynthOptions { preset: self.preset, layout: self.layout, number_type: self.dtype };
        let report = synth(options, &self.path).map_err(|error| CommandFailure::from_error(&error, origins))?;
        let files: Vec<String> = report.files.iter().map(|path| path.display().to_string()).collect();
        print_text(&format!("{}\n{} tensors, {} bytes", files.join("\n"), report.tensors, report.bytes))
    }
}
