//! The command line's definition as it is parsed, with what holds for all flags.

use crate::failure::{CommandFailure, shortened};
use crate::origin::is_set;
use crate::usage::used_command;
use clap::builder::Resettable;
use clap::{Arg, Command};
use std::ffi::OsString;

/// `command` and all below it, such that the value of a flag may begin with a hyphen (a prompt of "-5 degrees", a list, a
/// negative number) and an environment variable that is empty counts as absent, as scripts and container files leave
/// them.
pub fn adapted(command: Command) -> Command {
    command.mut_args(adapted_argument).mut_subcommands(adapted)
}

fn adapted_argument(argument: Arg) -> Arg {
    let argument = match argument.get_env() {
        Some(name) if !is_set(name) => argument.env(Resettable::Reset),
        _ => argument,
    };
    if is_flag_with_value(&argument) { argument.allow_hyphen_values(true) } else { argument }
}

fn is_flag_with_value(argument: &Arg) -> bool {
    argument.get_long().is_some() && argument.get_action().takes_values()
}

/// Refuses a flag that is followed by another one instead of its value: taken as the value, that one would be missed in
/// silence. A text that is a flag's name can be given behind `=`.
pub fn check_values_are_there(command: &Command, arguments: &[OsString]) -> Result<(), CommandFailure> {
    let command = used_command(command, arguments);
    let texts: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    let mut rest = texts.as_slice();
    while let [argument, following @ ..] = rest {
        if *argument == "--" {
            return Ok(());
        }
        let takes_value = flag(command, argument).is_some_and(is_flag_with_value);
        if let (true, [next, ..]) = (takes_value, following) {
            if flag(command, next).is_some() {
                let name = shortened(argument);
                return Err(CommandFailure::usage(format!(
                    "{name}: a value is missing; a text like that follows {name}="
                )));
            }
            rest = &following[1..];
        } else {
            rest = following;
        }
    }
    Ok(())
}

/// The flag of `command` that `argument` names, and nothing else.
fn flag<'a>(command: &'a Command, argument: &str) -> Option<&'a Arg> {
    let long = argument.strip_prefix("--");
    let short =
        argument.strip_prefix('-').filter(|rest| rest.chars().count() == 1).and_then(|rest| rest.chars().next());
    command
        .get_arguments()
        .find(|known| (long.is_some() && known.get_long() == long) || (short.is_some() && known.get_short() == short))
}
