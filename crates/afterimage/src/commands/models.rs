//! `afterimage models`: what is installed and what weights hold.

use super::synth::Synth;
use crate::failure::CommandFailure;
use crate::flags::ModelPaths;
use crate::origin::Origins;
use crate::output::print_text;
use crate::values;
use afterimage_engine::inspect::inspect;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Show which models are installed, or what a weights file or model folder holds
#[derive(Args, Debug)]
pub struct Models {
    #[command(subcommand)]
    pub command: ModelsCommand,
}

/// The commands below `models`.
#[derive(Subcommand, Debug)]
pub enum ModelsCommand {
    List(List),
    Inspect(Inspect),
    Synth(Synth),
}

/// List the models that `vary` and `img2img` would use
///
/// The embedded demo model is always there. Folders named by flags, the environment or the configuration file are looked
/// into and listed with whether they fit; they are not read through.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    paths: ModelPaths,

    /// Print a JSON array instead of a table
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = values::switch)]
    json: bool,
}

/// Show what a weights file or model folder holds and whether it fits
///
/// PATH is a safetensors or GGUF file, a component's folder (`transformer/`) or a model folder. Tensors that are missing or have
/// the wrong shape, and blocks that the configuration does not count, are listed as problems and end in exit code 2; other
/// tensors that nobody needs are listed and harmless.
#[derive(Args, Debug)]
pub struct Inspect {
    /// Weights file or folder
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// Print one JSON object instead of text
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = values::switch)]
    json: bool,
}

/// A line of `models list`.
#[derive(Serialize)]
struct Installed {
    role: &'static str,
    path: Option<PathBuf>,
    fits: bool,
    reason: String,
}

impl List {
    /// Runs the command.
    pub fn run(&self, _origins: &Origins) -> Result<(), CommandFailure> {
        let mut models = Vec::new();
        if cfg!(feature = "demo") {
            let reason = "the embedded demo model; used where no other is named".to_owned();
            models.push(Installed { role: "demo", path: None, fits: true, reason });
        }
        let options = self.paths.options();
        for (role, path) in options.paths() {
            let Some(path) = path else { continue };
            let (fits, reason) = match inspect(path) {
                Ok(inspection) => (inspection.fits, inspection.reason),
                Err(error) => (false, error.to_string()),
            };
            models.push(Installed { role, path: Some(path.clone()), fits, reason });
        }
        if self.json {
            return print_text(&json(&models)?);
        }
        let lines: Vec<String> = models.iter().map(Installed::line).collect();
        print_text(&lines.join("\n"))
    }
}

impl Installed {
    fn line(&self) -> String {
        let path = self.path.as_deref().map_or("(embedded)".into(), Path::to_string_lossy);
        let fits = if self.fits { "fits" } else { "does not fit" };
        format!("{:<14}{path}  {fits}: {}", self.role, self.reason)
    }
}

impl Inspect {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let inspection = inspect(&self.path).map_err(|error| CommandFailure::from_error(&error, origins))?;
        let text = if self.json { json(&inspection)? } else { inspection.to_string().trim_end().to_owned() };
        print_text(&text)?;
        if inspection.fits { Ok(()) } else { Err(CommandFailure::bad_input(self.path.display(), inspection.reason)) }
    }
}

fn json(value: &impl Serialize) -> Result<String, CommandFailure> {
    serde_json::to_string(value).map_err(|error| CommandFailure::other(error.to_string()))
}
