//! clap's errors as one line: `--steps: 51 is out of range; 1 to 50 are accepted`.

use crate::failure::{CommandFailure, shortened};
use crate::origin::{Origin, is_set, subject, variable};
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The error itself when it is a help text or the version, else the failure. `file` is given when flags and environment
/// are known to be good, so that the file is to blame.
pub fn help_or_failure(
    error: clap::Error,
    command: &Command,
    arguments: &[OsString],
    file: Option<&Path>,
) -> Result<clap::Error, CommandFailure> {
    match error.kind() {
        // Without any command clap prints the help on standard error and ends with 2.
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Ok(error)
        }
        _ => Err(CommandFailure::usage(one_line(&error, command, arguments, file))),
    }
}

fn one_line(error: &clap::Error, command: &Command, arguments: &[OsString], file: Option<&Path>) -> String {
    let argument = text(error, ContextKind::InvalidArg);
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let subject =
        argument.as_deref().map_or_else(|| "afterimage".to_owned(), |name| name_with_origin(name, arguments, file));
    match error.kind() {
        ErrorKind::ValueValidation => {
            let problem = error.source().map_or_else(|| "invalid value".to_owned(), ToString::to_string);
            format!("{subject}: {problem}")
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("{subject}: a value is missing{}", expected(error)),
        ErrorKind::InvalidValue => format!("{subject}: `{}` is not known{}", shortened(&value), expected(error)),
        ErrorKind::UnknownArgument => {
            let name = argument.unwrap_or_default();
            if name.starts_with('-') {
                format!("{}: unknown flag; {}", shortened(&name), advice(error, command, &name, arguments))
            } else {
                format!("{}: one argument too many", shortened(&name))
            }
        }
        ErrorKind::InvalidSubcommand => {
            let name = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let known = commands(used_command(command, arguments));
            format!("{}: unknown command; the commands are {known}", shortened(&name))
        }
        ErrorKind::MissingRequiredArgument => {
            let names = argument.unwrap_or_default();
            let name = names.trim_end_matches("...").replace(['<', '>'], "");
            let hint = if name == "IMAGE" { "name a picture file, or - for standard input" } else { "see --help" };
            format!("{name}: missing; {hint}")
        }
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg) {
            Some(prior) if prior != argument.clone().unwrap_or_default() => {
                format!("{subject}: cannot be used together with {}", bare(&prior))
            }
            _ => format!("{subject}: given more than once"),
        },
        ErrorKind::InvalidUtf8 => "a flag's value is not valid UTF-8".to_owned(),
        ErrorKind::TooManyValues => format!("{subject}: takes no value, found `{}`", shortened(&value)),
        ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("{subject}: wrong number of values; see --help")
        }
        _ => error.to_string().lines().next().unwrap_or("bad usage").trim_start_matches("error: ").to_owned(),
    }
}

/// `--steps` for `--steps <N>`, with the source of its value when that is not the command line.
fn name_with_origin(argument: &str, arguments: &[OsString], file: Option<&Path>) -> String {
    let flag = bare(argument);
    let Some(long) = flag.strip_prefix("--") else { return flag.trim_end_matches("...").to_owned() };
    let field = long.replace('-', "_");
    let on_command_line = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .any(|argument| argument.strip_prefix(&flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')));
    let origin = match file {
        Some(path) => Origin::File(path.to_path_buf()),
        None if !on_command_line && is_set(OsStr::new(&variable(&field))) => Origin::Environment,
        None => Origin::Flag,
    };
    subject(&field, &origin)
}

/// `--steps <N>` and `<IMAGE>...` without the decoration.
fn bare(argument: &str) -> String {
    argument.split(' ').next().unwrap_or(argument).replace(['<', '>', '[', ']'], "")
}

/// `; png, jpeg are accepted`, where clap knows.
fn expected(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => format!("; {} are accepted", values.join(", ")),
        _ => String::new(),
    }
}

/// What an unknown flag probably was.
fn advice(error: &clap::Error, command: &Command, name: &str, arguments: &[OsString]) -> String {
    let long = name.trim_start_matches('-').split('=').next().unwrap_or_default();
    let takers: Vec<&str> = command
        .get_subcommands()
        .filter(|inner| inner.get_arguments().any(|argument| argument.get_long() == Some(long)))
        .map(Command::get_name)
        .collect();
    if name.starts_with("--") && !takers.is_empty() {
        return format!("it belongs to {}", takers.join(", "));
    }
    match text(error, ContextKind::SuggestedArg) {
        Some(suggested) => format!("did you mean {suggested}?"),
        None => match used_command(command, arguments).get_name() {
            "afterimage" => "see --help".to_owned(),
            name => format!("see afterimage {name} --help"),
        },
    }
}

/// The innermost command that `arguments` name.
pub fn used_command<'a>(command: &'a Command, arguments: &[OsString]) -> &'a Command {
    let mut innermost = command;
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        innermost = innermost.find_subcommand(argument).unwrap_or(innermost);
    }
    innermost
}

fn commands(command: &Command) -> String {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<&str> = shown.map(Command::get_name).filter(|name| *name != "help").collect();
    names.join(", ")
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        ContextValue::StyledStrs(texts) => texts.first().map(ToString::to_string),
        _ => None,
    }
}
