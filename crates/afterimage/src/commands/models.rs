//! `afterimage models`: what is installed and what weights hold.

use super::pull::Pull;
use super::remove::Remove;
use super::synth::Synth;
use super::verify::Verify;
use crate::failure::CommandFailure;
use crate::flags::ModelPaths;
use crate::hub_connection::{HubConnection, hub_failure};
use crate::hub_files::{HubFlags, INSPECTED};
use crate::origin::Origins;
use crate::output::{print_json, print_text};
use crate::values;
use afterimage_engine::inspect::inspect;
use afterimage_hub::{HubError, gigabytes};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Fetch models, show which are installed, or what a weights file or model folder holds
#[derive(Args, Debug)]
pub struct Models {
    #[command(subcommand)]
    pub command: ModelsCommand,
}

/// The commands below `models`.
#[derive(Subcommand, Debug)]
pub enum ModelsCommand {
    Pull(Pull),
    List(List),
    Inspect(Inspect),
    Verify(Verify),
    Remove(Remove),
    Synth(Synth),
}

/// List the models that `vary` and `img2img` would use
///
/// The embedded demo model is always there. Folders named by flags, the environment or the configuration file are looked
/// into and listed with whether they fit; they are not read through. Then comes what the hub's cache holds: where a model
/// lies, how much it takes with all its revisions, and what is missing.
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
/// PATH is a safetensors or GGUF file, a component's folder (`transformer/`), a model folder, or `hub:NAME`. Tensors that are missing or have
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
        let given: Vec<&str> =
            options.paths().iter().filter(|(_, path)| path.is_some()).map(|(flag, _)| *flag).collect();
        for (role, path) in options.paths() {
            let Some(path) = path else { continue };
            let (path, (fits, reason)) = match HubFlags::default().path(role, path, &given, true) {
                Ok(found) => {
                    let path = found.unwrap_or_else(|| path.clone());
                    (path.clone(), judged(&path))
                }
                Err(error) => (path.clone(), (false, error.to_string())),
            };
            models.push(Installed { role, path: Some(path), fits, reason });
        }
        models.extend(cached().map_err(|error| hub_failure(&error))?);
        if self.json {
            return print_json(&models);
        }
        let lines: Vec<String> = models.iter().map(Installed::line).collect();
        print_text(&lines.join("\n"))
    }
}

/// Whether what `path` holds fits, and why.
fn judged(path: &Path) -> (bool, String) {
    match inspect(path) {
        Ok(inspection) => (inspection.fits, inspection.reason),
        Err(error) => (false, error.to_string()),
    }
}

/// What the hub's cache holds.
fn cached() -> Result<Vec<Installed>, HubError> {
    let connection = HubConnection::open()?;
    let cache = connection.cache();
    let rows = cache.repositories()?.into_iter().map(|repository| {
        let cached = cache.describe(repository);
        let name = format!("hub:{}, {}", cached.repository, gigabytes(cached.bytes));
        let (fits, reason) = match &cached.snapshot {
            None => (false, format!("main is not complete; `afterimage models pull {}` goes on", cached.repository)),
            Some(_) if !cached.missing.is_empty() => (false, format!("{} not fetched", cached.missing.join(", "))),
            Some(snapshot) => judged(snapshot),
        };
        Installed { role: "hub", path: cached.snapshot, fits, reason: format!("{name}: {reason}") }
    });
    Ok(rows.collect())
}

impl Installed {
    fn line(&self) -> String {
        let nowhere = if self.role == "hub" { "(not complete)" } else { "(embedded)" };
        let path = self.path.as_deref().map_or(nowhere.into(), Path::to_string_lossy);
        let fits = if self.fits { "fits" } else { "does not fit" };
        format!("{:<14}{path}  {fits}: {}", self.role, self.reason)
    }
}

impl Inspect {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let found = HubFlags::default().path(INSPECTED, &self.path, &[], true).map_err(|error| hub_failure(&error))?;
        let path = found.as_ref().unwrap_or(&self.path);
        let inspection = inspect(path).map_err(|error| CommandFailure::from_error(&error, origins))?;
        if self.json {
            print_json(&inspection)?;
        } else {
            print_text(inspection.to_string().trim_end())?;
        }
        if inspection.fits { Ok(()) } else { Err(CommandFailure::bad_input(self.path.display(), inspection.reason)) }
    }
}
