//! `afterimage models pull`: weights from the hub into its cache.

use crate::cancel;
use crate::failure::CommandFailure;
use crate::hub_connection::{HubConnection, hub_failure};
use crate::origin::Origins;
use crate::output::{print_json, print_text};
use crate::pull_progress::PullProgress;
use crate::values;
use afterimage_hub::{HubReference, PullRequest, Pulled, Revision, gigabytes};
use clap::Args;
use serde::Serialize;
use std::io::{self, Write};

/// Fetch a model from the Hugging Face hub
///
/// NAME is OWNER/NAME, or a short name: flux-dev, flux-schnell, redux, srpo, falconsai, compvis. Files go to the cache that
/// Python's tools use, and what is there already is not fetched again. An interrupted run is continued by the same command.
/// Every file is compared with its checksum. Flags that name models take the result as `hub:NAME`.
///
/// `HF_TOKEN`, else the file that `hf auth login` writes, holds the token for gated models. `HF_HUB_CACHE`, `HF_HOME` and
/// `HF_ENDPOINT` mean what they mean to Python's tools.
#[derive(Args, Debug)]
pub struct Pull {
    /// Model, such as `flux-dev` or `black-forest-labs/FLUX.1-dev`; /FILE behind it fetches one file
    #[arg(value_name = "NAME")]
    name: String,

    /// Fetch this part only: `transformer`, `t5`, `clip`, `vae`, `redux`, `siglip`, a folder, a file, a pattern with `*`
    ///
    /// May be given several times. Files with the licence come along.
    #[arg(long, env = "AFTERIMAGE_ONLY", hide_env_values = true, value_name = "PART", value_delimiter = ',')]
    only: Vec<String>,

    /// Branch, tag or commit; default: main
    #[arg(long, env = "AFTERIMAGE_REVISION", hide_env_values = true, value_name = "REVISION")]
    revision: Option<String>,

    /// Accept the model's licence
    ///
    /// Needed for all but permissive licences. A gated model's licence has to be accepted at the hub, too, by the token's
    /// account.
    #[arg(long, env = "AFTERIMAGE_ACCEPT_LICENCE", hide_env_values = true, value_parser = values::switch)]
    accept_licence: bool,

    /// Print one JSON object instead of the folder
    ///
    /// Its fields: `repository`, `revision`, `snapshot` (the folder), `files`, `fetched` (how many were missing), `bytes`
    /// (of those), `licence`.
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = values::switch)]
    json: bool,

    /// No progress bar and no summary; errors are still printed
    #[arg(short, long, env = "AFTERIMAGE_QUIET", hide_env_values = true, value_parser = values::switch)]
    quiet: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct PullReport {
    repository: String,
    revision: String,
    snapshot: String,
    files: usize,
    fetched: usize,
    bytes: u64,
    licence: String,
}

impl Pull {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let mut reference: HubReference = self.name.parse().map_err(|error| named("NAME", error))?;
        if let Some(revision) = &self.revision {
            if reference.revision != Revision::default() {
                let problem = "is given in NAME, too; leave one of the two out";
                return Err(CommandFailure::bad_input(origins.subject("revision"), problem));
            }
            reference.revision = revision.parse().map_err(|error| named(&origins.subject("revision"), error))?;
        }
        let request = PullRequest { reference, only: self.only.clone(), licence_accepted: self.accept_licence };
        cancel::install()?;
        let connection = HubConnection::open().map_err(|error| hub_failure(&error))?;
        let pulled = connection.pull(&request, &PullProgress::new(self.quiet)).map_err(|error| hub_failure(&error))?;
        self.report(&request.reference, &pulled)
    }

    /// The folder on standard output for the next program, the summary on standard error for the person.
    fn report(&self, reference: &HubReference, pulled: &Pulled) -> Result<(), CommandFailure> {
        let Pulled { files, fetched, bytes, licence, .. } = pulled;
        if !self.quiet && !self.json {
            let name = &reference.repository;
            let size = gigabytes(*bytes);
            let _ =
                writeln!(io::stderr().lock(), "{name}: {fetched} of {files} files fetched, {size}; licence: {licence}");
        }
        let snapshot = pulled.snapshot.display().to_string();
        if !self.json {
            return print_text(&snapshot);
        }
        print_json(&PullReport {
            repository: reference.repository.to_string(),
            revision: reference.revision.as_str().to_owned(),
            snapshot,
            files: *files,
            fetched: *fetched,
            bytes: *bytes,
            licence: licence.to_string(),
        })
    }
}

fn named(subject: &str, error: afterimage_hub::HubError) -> CommandFailure {
    CommandFailure::bad_input(subject, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_hub::KNOWN_MODELS;

    #[test]
    fn the_help_has_every_short_name() {
        let help = Pull::augment_args(clap::Command::new("pull")).render_long_help().to_string();
        let missing: Vec<&str> =
            KNOWN_MODELS.iter().map(|known| known.name).filter(|name| !help.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?} are not in: {help}");
    }
}
