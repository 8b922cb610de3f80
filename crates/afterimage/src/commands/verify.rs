//! `afterimage models verify`: whether what was fetched is still what the hub gave out.

use crate::cancel;
use crate::failure::CommandFailure;
use crate::hub_connection::{HubConnection, hub_failure};
use crate::hub_files::SCHEME;
use crate::origin::Origins;
use crate::output::{print_json, print_text};
use crate::pull_progress::PullProgress;
use crate::values;
use afterimage_hub::{HubCache, HubReference, Verified, gigabytes};
use clap::Args;
use serde::Serialize;
use std::path::Path;

/// Compare a fetched model with its checksums
///
/// Reads every byte. A damaged file is named with the command that fetches it anew, and ends in exit code 2. The hub is not
/// asked: files of its cache are called by their checksums.
#[derive(Args, Debug)]
pub struct Verify {
    /// Model as `models pull` takes it, or a folder or file of the cache
    #[arg(value_name = "NAME|PATH")]
    name: String,

    /// Print one JSON object instead of a line
    ///
    /// Its fields: `repository`, `right` (how many files), `bytes` (of those), `damaged` (of each `file` and `problem`),
    /// `unknown` (files without a checksum).
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = values::switch)]
    json: bool,

    /// No progress bar
    #[arg(short, long, env = "AFTERIMAGE_QUIET", hide_env_values = true, value_parser = values::switch)]
    quiet: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct VerifyReport<'a> {
    repository: &'a str,
    right: usize,
    bytes: u64,
    damaged: Vec<DamageReport<'a>>,
    unknown: usize,
}

#[derive(Serialize)]
struct DamageReport<'a> {
    file: &'a str,
    problem: &'a str,
}

impl Verify {
    /// Runs the command.
    pub fn run(&self, _origins: &Origins) -> Result<(), CommandFailure> {
        cancel::install()?;
        let (cache, reference) = self.meant()?;
        let progress = PullProgress::new(self.quiet);
        let verified = cache.verify(&reference, &progress);
        progress.clear();
        let verified = verified.map_err(|error| hub_failure(&error))?;
        self.report(&reference, &verified)
    }

    /// A path of a cache, else a model in the cache of the environment.
    fn meant(&self) -> Result<(HubCache, HubReference), CommandFailure> {
        let path = Path::new(&self.name);
        if !self.name.starts_with(SCHEME) && path.exists() {
            return HubCache::of_path(path).ok_or_else(|| {
                let problem = "lies in no cache of the hub, so nobody knows its checksum; expected a model as `models pull` \
                    takes it, or a path in models--OWNER--NAME";
                CommandFailure::bad_input(path.display(), problem)
            });
        }
        let reference = self.name.parse().map_err(|error| CommandFailure::bad_input("NAME", error))?;
        let connection = HubConnection::open().map_err(|error| hub_failure(&error))?;
        Ok((connection.cache().clone(), reference))
    }

    fn report(&self, reference: &HubReference, verified: &Verified) -> Result<(), CommandFailure> {
        let Verified { right: (right, bytes), damaged, unknown } = verified;
        let repository = reference.repository.to_string();
        if self.json {
            let damaged = damaged.iter().map(|it| DamageReport { file: &it.file, problem: &it.problem }).collect();
            print_json(&VerifyReport {
                repository: &repository,
                right: *right,
                bytes: *bytes,
                damaged,
                unknown: *unknown,
            })?;
        }
        if let [first, more @ ..] = damaged.as_slice() {
            let others: Vec<&str> = more.iter().map(|damage| damage.file.as_str()).collect();
            let others =
                if more.is_empty() { String::new() } else { format!(" (damaged, too: {})", others.join(", ")) };
            let command = reference.command();
            let problem = format!("{}: {}{others}; `{command}` fetches it anew", first.file, first.problem);
            return Err(CommandFailure::bad_input(repository, problem));
        }
        if self.json {
            return Ok(());
        }
        let unknown = if *unknown == 0 { String::new() } else { format!(", {unknown} without a checksum") };
        let noun = if *right == 1 { "file is" } else { "files are" };
        print_text(&format!("{repository}: {right} {noun} right, {}{unknown}", gigabytes(*bytes)))
    }
}
