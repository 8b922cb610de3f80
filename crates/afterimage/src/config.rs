//! The TOML file of `--config`: the same names as the flags, with a table for each command.

use crate::failure::{CommandFailure, describe};
use crate::model_sets::from_table;
use clap::{Arg, ArgAction, Command};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Longest file that is read. The longest prompt fits many times.
const MAX_BYTES: u64 = 4 << 20;

/// The flag that is also a table of tables.
const MODEL: &str = "model";

/// A configuration file.
pub struct Config {
    path: PathBuf,
    table: Table,
}

impl Config {
    /// Reads and parses `path`.
    pub fn read(path: &Path) -> Result<Self, CommandFailure> {
        let refuse =
            |problem: &str| CommandFailure::bad_input("--config", format_args!("{}: {problem}", path.display()));
        if path.is_dir() {
            return Err(refuse("is a folder; expected a TOML file"));
        }
        let file = File::open(path).map_err(|error| refuse(&describe(&error)))?;
        let mut text = String::new();
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| refuse(&describe(&error)))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(refuse(&format!("is longer than {MAX_BYTES} bytes")));
        }
        let table = text.parse::<Table>().map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            refuse(&format!("line {line}: {}", error.message()))
        })?;
        Ok(Self { path: path.to_path_buf(), table })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file's values the defaults of `command` and the commands below it.
    pub fn apply(&self, command: Command) -> Result<Command, CommandFailure> {
        self.apply_layers(command, &[], Some(&self.table))
    }

    /// Whether the file has a value for argument `id` of the command `names` (`["models", "inspect"]`).
    pub fn sets(&self, names: &[&str], id: &str) -> bool {
        let key = id.replace('_', "-");
        let mut table = Some(&self.table);
        let mut found = self.table.contains_key(&key);
        for name in names {
            table = table.and_then(|table| table.get(*name)).and_then(Value::as_table);
            found |= table.is_some_and(|table| table.contains_key(&key));
        }
        found
    }

    /// `own` is the table of `command`, `outer` are those around it, outermost first.
    fn apply_layers(&self, command: Command, outer: &[&Table], own: Option<&Table>) -> Result<Command, CommandFailure> {
        let mut layers = outer.to_vec();
        if let Some(own) = own {
            self.check_keys(&command, own)?;
            layers.push(own);
        }
        let mut command = self.set_defaults(command, &layers)?;
        let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
        for name in names {
            let Some(inner) = command.find_subcommand(&name).cloned() else { continue };
            let table = own.and_then(|own| own.get(&name)).and_then(Value::as_table);
            let inner = self.apply_layers(inner, &layers, table)?;
            command = command.mut_subcommand(name, |_| inner);
        }
        Ok(command)
    }

    /// The innermost of `layers` that has a key wins.
    fn set_defaults(&self, mut command: Command, layers: &[&Table]) -> Result<Command, CommandFailure> {
        let keys: Vec<(String, String)> = settable(&command).map(|(id, key)| (id.to_owned(), key.to_owned())).collect();
        for (id, key) in keys {
            let Some(value) = layers.iter().rev().find_map(|table| table.get(&key)) else { continue };
            let texts = match value {
                // One flag each: `[model.dev]` is `--model dev=…`.
                Value::Table(sets) if key == MODEL => self.model_sets(sets)?,
                value => self.texts(&key, value, takes_several(&command, &id))?,
            };
            command = command.mut_arg(id, |argument| argument.default_values(texts));
        }
        Ok(command)
    }

    /// Every key of `table` must be a flag of `command` or of one below it, or the name of one below it.
    fn check_keys(&self, command: &Command, table: &Table) -> Result<(), CommandFailure> {
        for (key, value) in table {
            let is_command = command.get_subcommands().any(|inner| inner.get_name() == key);
            let is_flag = takes(command, key);
            let known = if value.is_table() { is_command || (is_flag && key == MODEL) } else { is_flag };
            if !known {
                let hint = match (is_command, value.is_table()) {
                    (true, _) => format!("expected a table, [{key}]"),
                    (_, true) => format!("unknown table in {}", place(command)),
                    _ => format!("unknown key in {}; keys are the names of flags", place(command)),
                };
                return Err(CommandFailure::bad_input(
                    "--config",
                    format_args!("{}: {key}: {hint}", self.path.display()),
                ));
            }
        }
        Ok(())
    }

    /// The tables in `[model]` as values of `--model`.
    fn model_sets(&self, sets: &Table) -> Result<Vec<String>, CommandFailure> {
        let set = |(name, set): (&String, &Value)| {
            let refuse = |problem: &str| {
                CommandFailure::bad_input(
                    "--config",
                    format_args!("{}: {MODEL}.{name}: {problem}", self.path.display()),
                )
            };
            let table = set.as_table().ok_or_else(|| refuse("expected a table, [model.NAME], of keys such as base"))?;
            from_table(name, table).map_err(|error| refuse(&error.to_string()))
        };
        sets.iter().map(set).collect()
    }

    /// `value` as it would be written on the command line; an array gives several.
    fn texts(&self, key: &str, value: &Value, several: bool) -> Result<Vec<String>, CommandFailure> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Boolean(flag) => Some(flag.to_string()),
            Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
        };
        let texts = match value {
            Value::Array(values) if several => values.iter().map(text).collect(),
            other => text(other).map(|text| vec![text]),
        };
        texts.ok_or_else(|| {
            let problem = "expected a text, a number, true or false";
            CommandFailure::bad_input("--config", format_args!("{}: {key}: {problem}", self.path.display()))
        })
    }
}

/// The arguments of `command` that a file can set: their ids and keys.
fn settable(command: &Command) -> impl Iterator<Item = (&str, &str)> {
    command
        .get_arguments()
        .filter(|argument: &&Arg| !argument.is_global_set())
        .filter_map(|argument| Some((argument.get_id().as_str(), argument.get_long()?)))
        .filter(|(_, long)| !["config", "help", "version"].contains(long))
}

/// Whether the argument `id` of `command` may be given several times.
fn takes_several(command: &Command, id: &str) -> bool {
    let argument = command.get_arguments().find(|argument| argument.get_id() == id);
    argument.is_some_and(|argument| matches!(argument.get_action(), ArgAction::Append))
}

fn takes(command: &Command, key: &str) -> bool {
    settable(command).any(|(_, long)| long == key) || command.get_subcommands().any(|inner| takes(inner, key))
}

fn place(command: &Command) -> String {
    if command.get_name() == "afterimage" { "the file".to_owned() } else { format!("[{}]", command.get_name()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_models_come_in_the_files_order() {
        let table: Table = "[model.srpo]\nbase = 'a'\n[model.dev]\nbase = 'b'\n[model.0]\nbase = 'c'".parse().unwrap();
        let config = Config { path: "c.toml".into(), table: table.clone() };
        let sets = config.model_sets(table["model"].as_table().unwrap()).unwrap();
        assert_eq!(sets, ["srpo={\"base\":\"a\"}", "dev={\"base\":\"b\"}", "0={\"base\":\"c\"}"]);
    }
}
