//! The command line as a whole: parsing it, twice when a configuration file is named.

#[cfg(feature = "gpu")]
use crate::commands::Doctor;
use crate::commands::{
    Again, Bench, Check, Completions, EngineProcess, Img2Img, Import, Keys, KeysCommand, Licences, Mcp, Migrate,
    Models, ModelsCommand, Serve, Vary, Worker,
};
use crate::config::Config;
use crate::definition::{adapted, check_values_are_there};
use crate::failure::CommandFailure;
use crate::origin::Origins;
use crate::usage;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Variations of pictures with FLUX.1 Redux, and image-to-image
///
/// Every flag can also be set by an environment variable, AFTERIMAGE_<FLAG>, and in a TOML file (--config). A flag
/// wins over the environment, the environment over the file, the file over the default. An empty variable counts as
/// absent.
///
/// Exit codes: 0 success, 2 bad usage or bad input (one line names the flag or file and what would be right), 1
/// anything else.
#[derive(Parser, Debug)]
#[command(name = "afterimage", version, max_term_width = 100)]
struct Cli {
    /// TOML file that sets flags
    ///
    /// Keys are the flags' names without dashes in front (`steps = 20`, `num-images = 2`). A table named like a command
    /// (`[vary]`) applies to that command only and wins over the keys outside. Unknown keys are an error.
    #[arg(long, global = true, env = "AFTERIMAGE_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: CliCommand,
}

/// A command with its flags.
#[derive(Subcommand, Debug)]
pub enum CliCommand {
    Vary(Vary),
    #[command(name = "img2img")]
    Img2Img(Img2Img),
    Again(Again),
    Models(Models),
    Check(Check),
    Bench(Bench),
    #[cfg(feature = "gpu")]
    Doctor(Doctor),
    Serve(Box<Serve>),
    Worker(Box<Worker>),
    Mcp(Mcp),
    Migrate(Migrate),
    Import(Import),
    Keys(Keys),
    #[command(visible_alias = "licenses")]
    Licences(Licences),
    Completions(Completions),
    #[command(hide = true)]
    EngineProcess(EngineProcess),
}

impl CliCommand {
    /// Whether it starts a log of its own.
    pub fn keeps_a_log(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Worker(_))
    }

    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        match self {
            Self::Vary(command) => command.run(origins),
            Self::Img2Img(command) => command.run(origins),
            Self::Again(command) => command.run(origins),
            Self::Models(Models { command: ModelsCommand::List(command) }) => command.run(origins),
            Self::Models(Models { command: ModelsCommand::Inspect(command) }) => command.run(origins),
            Self::Models(Models { command: ModelsCommand::Synth(command) }) => command.run(origins),
            Self::Models(Models { command: ModelsCommand::Pull(command) }) => command.run(origins),
            Self::Models(Models { command: ModelsCommand::Verify(command) }) => command.run(origins),
            Self::Models(Models { command: ModelsCommand::Remove(command) }) => command.run(origins),
            Self::Check(command) => command.run(origins),
            Self::Bench(command) => command.run(origins),
            #[cfg(feature = "gpu")]
            Self::Doctor(command) => command.run(origins),
            Self::Serve(command) => command.run(origins),
            Self::Worker(command) => command.run(origins),
            Self::Mcp(command) => command.run(),
            Self::Migrate(command) => command.run(origins),
            Self::Import(command) => command.run(origins),
            Self::Keys(Keys { command: KeysCommand::Create(command) }) => command.run(origins),
            Self::Keys(Keys { command: KeysCommand::List(command) }) => command.run(origins),
            Self::Keys(Keys { command: KeysCommand::Revoke(command) }) => command.run(origins),
            Self::Keys(Keys { command: KeysCommand::Role(command) }) => command.run(origins),
            Self::Licences(Licences {}) => Licences::run(),
            Self::Completions(command) => command.run(&Cli::command()),
            Self::EngineProcess(command) => command.run(origins),
        }
    }
}

/// What a command line asks for.
pub enum Parsed {
    /// Something to do.
    Command(Box<CliCommand>, Origins),
    /// The help or the version, in clap's form.
    Help(clap::Error),
}

/// Parses the program's arguments together with the environment and the configuration file.
///
/// The file's values become the defaults of a second parse, so that one set of value parsers serves all sources and the
/// precedence is clap's own. The first parse has accepted flags and environment by then: what the second refuses is the
/// file's.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, CommandFailure> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // clap's `help` takes nothing but names of commands; who asks for help on help gets help.
    if arguments.get(1).is_some_and(|first| first == "help") {
        arguments.retain(|argument| argument != "--help" && argument != "-h");
    }
    let definition = adapted(Cli::command());
    let first = match definition.clone().try_get_matches_from(&arguments) {
        Ok(matches) => {
            check_values_are_there(&definition, &arguments)?;
            matches
        }
        Err(error) => return help_or_failure(error, &definition, &arguments, None),
    };
    let Some(path) = config_path(&first) else {
        return finish(&first, None);
    };
    let config = Config::read(&path)?;
    let command = config.apply(definition)?;
    match command.clone().try_get_matches_from(&arguments) {
        Ok(matches) => finish(&matches, Some(&config)),
        Err(error) => help_or_failure(error, &command, &arguments, Some(&path)),
    }
}

/// The help, which names all environment variables, whatever is in them; else the failure.
fn help_or_failure(
    error: clap::Error,
    command: &Command,
    arguments: &[OsString],
    file: Option<&Path>,
) -> Result<Parsed, CommandFailure> {
    let error = match usage::help_or_failure(error, command, arguments, file) {
        Ok(help) => help,
        Err(failure) => return Err(check_values_are_there(command, arguments).err().unwrap_or(failure)),
    };
    Ok(Parsed::Help(Cli::command().try_get_matches_from(arguments).err().unwrap_or(error)))
}

fn finish(matches: &ArgMatches, config: Option<&Config>) -> Result<Parsed, CommandFailure> {
    let cli = Cli::from_arg_matches(matches).map_err(|error| CommandFailure::other(error.to_string()))?;
    let (names, leaf) = innermost(matches);
    let in_file = |id: &str| config.is_some_and(|config| config.sets(&names, id));
    let origins = Origins::new(leaf, config.map(Config::path), &in_file);
    Ok(Parsed::Command(Box::new(cli.command), origins))
}

/// `--config` may stand before or after the command's name; clap hands global values down to the innermost.
fn config_path(matches: &ArgMatches) -> Option<PathBuf> {
    innermost(matches).1.get_one::<PathBuf>("config").cloned()
}

/// The names of the commands down to the innermost, and its matches.
fn innermost(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let (mut names, mut leaf) = (Vec::new(), matches);
    while let Some((name, inner)) = leaf.subcommand() {
        names.push(name);
        leaf = inner;
    }
    (names, leaf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
        adapted(Cli::command()).debug_assert();
    }

    #[test]
    fn every_value_may_begin_with_a_hyphen() {
        fn check(command: &Command) {
            for argument in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
                assert_eq!(argument.is_allow_hyphen_values_set(), argument.get_action().takes_values(), "{argument}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&adapted(Cli::command()));
    }

    /// `AFTERIMAGE_<FLAG>` for every flag, in every command but `models synth`, whose `--dtype` and `--preset` take other
    /// values than those of the commands that run models.
    #[test]
    fn every_flag_has_its_environment_variable() {
        fn check(command: &Command) {
            for argument in command.get_arguments().filter(|_| command.get_name() != "synth") {
                let Some(long) = argument.get_long().filter(|long| !["help", "version"].contains(long)) else {
                    continue;
                };
                let expected = format!("AFTERIMAGE_{}", long.replace('-', "_").to_uppercase());
                assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(expected.as_str()));
                assert_eq!(argument.get_id().as_str(), long.replace('-', "_"));
                assert!(argument.is_hide_env_values_set(), "--{long}: the help must not depend on the environment");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
