//! `afterimage check`: what safety checkers say of pictures.

use crate::cancel;
use crate::failure::CommandFailure;
use crate::flags::take_threads;
use crate::generate::{check_standard_input, read_picture};
use crate::hub_files::HubFlags;
use crate::origin::Origins;
use crate::output::print_text;
use crate::safety_flags::CheckerFlags;
use crate::values;
use afterimage_core::{Error, Result as EngineResult};
use afterimage_engine::{CheckerChoice, DeviceChoice, EngineOptions, StandaloneChecker, Verdict};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Show what safety checkers say of pictures
///
/// A line for each picture: `flagged` or `clean`, the score of each checker, the file. A score is the probability of "not
/// safe for work", 0 to 1; that of CompVis' checker is how far the nearest of its concepts is beyond its threshold. A checker
/// is a filter that errs in both directions, not a guarantee.
#[derive(Args, Debug)]
pub struct Check {
    /// Pictures to look at: JPEG, PNG, WebP, GIF (first frame), BMP or TIFF; `-` is standard input
    #[arg(value_name = "PICTURE", required = true)]
    pictures: Vec<PathBuf>,

    #[command(flatten)]
    safety: CheckerFlags,

    #[command(flatten)]
    hub: HubFlags,

    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(
        long,
        env = "AFTERIMAGE_DEVICE",
        hide_env_values = true,
        value_name = "DEVICE",
        default_value = "auto",
        value_parser = values::device
    )]
    device: DeviceChoice,

    /// Processor threads that compute, 1 to 1024; default: one for every core
    #[arg(
        long,
        env = "AFTERIMAGE_THREADS",
        hide_env_values = true,
        value_name = "N",
        allow_hyphen_values = true,
        value_parser = values::threads
    )]
    threads: Option<NonZeroUsize>,

    /// Print one JSON array instead of lines
    ///
    /// An object for each picture: `file`, `flagged`, `scores` (by the checkers' names).
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = values::switch)]
    json: bool,
}

/// An object of `--json`.
#[derive(Serialize)]
struct PictureVerdict<'a> {
    file: String,
    flagged: bool,
    scores: BTreeMap<&'a str, f64>,
}

impl Check {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let failed = |error: Error| CommandFailure::from_error(&error, origins);
        check_standard_input(&self.pictures)?;
        let options = self.safety.options(&[CheckerChoice::Builtin], origins)?;
        if options.checkers.is_empty() {
            let problem = "off leaves nobody to look; expected builtin, a weights file or a folder";
            return Err(CommandFailure::bad_input(origins.subject("safety"), problem));
        }
        // Before Ctrl-C is watched, which would keep a blocked read alive.
        let standard_input = Path::new("-");
        let is_piped = self.pictures.iter().any(|path| path == standard_input);
        let mut piped = is_piped.then(|| read_picture(standard_input)).transpose().map_err(failed)?;
        cancel::install()?;
        take_threads(self.threads)?;
        let options = EngineOptions { safety: options, ..EngineOptions::default() };
        let options = self.hub.resolved(options, false, &|flag| origins.of_flag(flag))?.safety;
        let checker = StandaloneChecker::open(self.device, &options).map_err(failed)?;
        let names = checker.names();
        let mut findings = Vec::new();
        for path in &self.pictures {
            let source = match piped.take_if(|_| path == standard_input) {
                Some(source) => source,
                None => read_picture(path).map_err(failed)?,
            };
            let verdict = checker.check(&source.picture, &interrupted).map_err(failed)?;
            let Verdict { flagged: Some(flagged), scores, failure: None } = verdict else {
                let problem = verdict.failure.unwrap_or_default();
                return Err(failed(Error::SafetyChecker { problem }));
            };
            let file = path.display().to_string();
            if self.json {
                let scores = names.iter().map(String::as_str).zip(scores).collect();
                findings.push(PictureVerdict { file, flagged, scores });
            } else {
                let word = if flagged { "flagged" } else { "clean" };
                let scores: Vec<String> = scores.iter().map(|score| format!("{score:.3}")).collect();
                print_text(&format!("{word} {}  {file}", scores.join(" ")))?;
            }
        }
        if !self.json {
            return Ok(());
        }
        print_text(&serde_json::to_string(&findings).map_err(|error| CommandFailure::other(error.to_string()))?)
    }
}

fn interrupted() -> EngineResult<()> {
    if cancel::requested() { Err(Error::Cancelled) } else { Ok(()) }
}
