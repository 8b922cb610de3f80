//! `afterimage completions`: what shells and `man` know of the command line.

use crate::failure::{CommandFailure, describe};
use crate::output::print_text;
use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use std::path::{Path, PathBuf};

/// The program's name.
const NAME: &str = "afterimage";

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CompletionForm {
    /// Completions for Bash
    Bash,
    /// Completions for Elvish
    Elvish,
    /// Completions for fish
    Fish,
    /// Completions for PowerShell
    #[value(name = "powershell")]
    PowerShell,
    /// Completions for Zsh
    Zsh,
    /// Pages for `man`, one for each command; they need --output
    Man,
}

/// Print the completions of a shell, or write the manual's pages
///
/// `afterimage completions bash > ~/.local/share/bash-completion/completions/afterimage`, `afterimage completions zsh -o
/// ~/.zfunc`, `afterimage completions man -o ~/.local/share/man/man1`.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell, or `man`
    #[arg(value_name = "SHELL")]
    form: CompletionForm,

    /// Existing folder to write to, under the names that are usual; standard output without it
    #[arg(short, long, env = "AFTERIMAGE_OUTPUT", hide_env_values = true, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Completions {
    /// Runs the command, about the command line that `definition` defines.
    pub fn run(&self, definition: &Command) -> Result<(), CommandFailure> {
        let folder = self.output.as_deref();
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(CommandFailure::bad_input(
                "--output",
                format_args!("{} is no existing folder", folder.display()),
            ));
        }
        let mut shown = for_people(definition);
        match (self.form.shell(), folder) {
            (Some(shell), None) => print_text(completions(shell, &mut shown).trim_end()),
            (Some(shell), Some(folder)) => {
                written(folder, clap_complete::generate_to(shell, &mut shown, NAME, folder).map(drop))
            }
            (None, Some(folder)) => written(folder, clap_mangen::generate_to(definition.clone(), folder)),
            (None, None) => Err(CommandFailure::bad_input("--output", "missing; pages for man are many files")),
        }
    }
}

impl CompletionForm {
    const fn shell(self) -> Option<Shell> {
        match self {
            Self::Bash => Some(Shell::Bash),
            Self::Elvish => Some(Shell::Elvish),
            Self::Fish => Some(Shell::Fish),
            Self::PowerShell => Some(Shell::PowerShell),
            Self::Zsh => Some(Shell::Zsh),
            Self::Man => None,
        }
    }
}

/// `definition` without the commands that are not for people, of which some shells would tell.
fn for_people(definition: &Command) -> Command {
    let commands = definition.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new(NAME).args(definition.get_arguments().cloned()).subcommands(commands)
}

fn completions(shell: Shell, definition: &mut Command) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, definition, NAME, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn written(folder: &Path, outcome: std::io::Result<()>) -> Result<(), CommandFailure> {
    outcome.map_err(|error| CommandFailure::other(format!("{}: {}", folder.display(), describe(&error))))
}
