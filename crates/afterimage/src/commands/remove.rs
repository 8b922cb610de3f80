//! `afterimage models remove`: frees what a model takes in the hub's cache.

use crate::failure::CommandFailure;
use crate::hub_connection::{HubConnection, hub_failure};
use crate::origin::Origins;
use crate::output::{print_json, print_text};
use crate::values;
use afterimage_hub::{HubReference, gigabytes};
use clap::Args;
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Write};

/// Remove a fetched model from the hub's cache
///
/// All its files and revisions, also those that Python's tools fetched. Asks first; where nobody can be asked, --yes is
/// needed. Nothing outside the cache is touched.
#[derive(Args, Debug)]
pub struct Remove {
    /// Model as `models pull` takes it
    #[arg(value_name = "NAME")]
    name: String,

    /// Do not ask
    #[arg(short, long, env = "AFTERIMAGE_YES", hide_env_values = true, value_parser = values::switch)]
    yes: bool,

    /// Print one JSON object instead of a line
    ///
    /// Its fields: `repository`, `bytes` (that are free now).
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = values::switch)]
    json: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct RemoveReport {
    repository: String,
    bytes: u64,
}

impl Remove {
    /// Runs the command.
    pub fn run(&self, _origins: &Origins) -> Result<(), CommandFailure> {
        let refuse = |problem: &str| CommandFailure::bad_input("NAME", format_args!("`{}`: {problem}", self.name));
        let reference: HubReference = self.name.parse().map_err(|error| CommandFailure::bad_input("NAME", error))?;
        if let Some(file) = &reference.file {
            return Err(refuse(&format!("{file} cannot be removed alone; name the model, {}", reference.repository)));
        }
        let connection = HubConnection::open().map_err(|error| hub_failure(&error))?;
        let cached = connection.cache().describe(reference.repository.clone());
        let repository = reference.repository.to_string();
        // What is not there needs no answer.
        if cached.bytes > 0 && !self.yes && !confirmed(&format!("remove {repository}, {}", gigabytes(cached.bytes)))? {
            return Err(CommandFailure::other("cancelled"));
        }
        let bytes = connection.cache().remove(&reference.repository).map_err(|error| hub_failure(&error))?;
        if self.json {
            return print_json(&RemoveReport { repository, bytes });
        }
        print_text(&format!("{repository}: {} are free", gigabytes(bytes)))
    }
}

/// Asks on the terminal.
fn confirmed(question: &str) -> Result<bool, CommandFailure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let problem = "missing, and nobody can be asked; nothing was removed";
        return Err(CommandFailure::bad_input("--yes", problem));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr().lock(), "{question}? [y/N] ").and_then(|()| io::stderr().flush());
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    read.map_err(|error| CommandFailure::other(format!("the answer cannot be read: {error}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
