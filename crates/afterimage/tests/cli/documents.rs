//! The documents say what the program does: help and keys are generated, and what is printed as configuration or command
//! is understood.

use crate::context::{Context, finish, program, repository};
use crate::help::{COMMANDS, help};
use crate::printed::{Document, documents};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

/// The help of every command, as it is printed.
fn all_help() -> String {
    let mut text = String::new();
    for names in COMMANDS {
        let line = ["afterimage"].iter().chain(names).copied().collect::<Vec<_>>().join(" ");
        write!(text, "\n```console\n$ {line} --help\n{}```\n", help(names)).unwrap();
    }
    text + "\n"
}

/// A flag as the help shows it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flag {
    /// Its name without dashes, which is its key in the file.
    key: String,
    /// What the help calls its value; empty for those without one.
    value: String,
    default: String,
    summary: String,
}

/// The flags in `help` that file and environment can set.
fn flags(help: &str) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut lines = help.lines().peekable();
    while let Some(line) = lines.next() {
        // Texts are indented by ten.
        let Some((_, name)) = line.split_once("--").filter(|(before, _)| before.len() < 10) else { continue };
        let (key, value) = name.split_once(' ').unwrap_or((name, ""));
        let mut text = Vec::new();
        while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with("          ")) {
            text.push(line.trim());
        }
        let noted = |what: &str| {
            let mut notes = text.iter().filter_map(|line| line.strip_prefix(what)?.strip_suffix(']'));
            notes.next().map(str::to_owned)
        };
        // `--help` and `--version` have none, and `--config` names the file.
        let Some(variable) = noted("[env: ") else { continue };
        assert_eq!(variable, format!("AFTERIMAGE_{}", key.to_uppercase().replace('-', "_")));
        if key != "config" {
            flags.push(Flag {
                key: key.to_owned(),
                value: value.to_owned(),
                default: noted("[default: ").unwrap_or_default(),
                summary: text.split(|line| line.is_empty()).next().unwrap_or_default().join(" "),
            });
        }
    }
    flags
}

/// A table of every key that a configuration file may have.
fn all_keys() -> String {
    let mut commands: BTreeMap<Flag, Vec<String>> = BTreeMap::new();
    for names in COMMANDS {
        for flag in flags(&help(names)) {
            commands.entry(flag).or_default().push(format!("`{}`", names.join(" ")));
        }
    }
    let mut text = "\n| key | value | default | commands | |\n|---|---|---|---|---|\n".to_owned();
    for (Flag { key, value, default, summary }, commands) in commands {
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        let (value, default, commands) = (code(&value), code(&default), commands.join(", "));
        writeln!(text, "| `{key}` | {value} | {default} | {commands} | {} |", summary.replace('|', "\\|")).unwrap();
    }
    text + "\n"
}

/// Asserts that `current` stands between the markers of `what` in the document `name`, or writes it there.
fn assert_generated(name: &str, what: &str, current: &str) {
    let document = Document::read(name).text;
    let begin = format!("<!-- {what}: generated, see crates/afterimage/tests/cli/documents.rs -->\n");
    let start = document.find(&begin).expect("the begin marker") + begin.len();
    let end = document.find(&format!("<!-- end of {what} -->\n")).expect("the end marker");
    if std::env::var_os("AFTERIMAGE_UPDATE_DOCS").is_some() {
        let new = format!("{}{current}{}", &document[..start], &document[end..]);
        fs::write(repository().join(name), new).unwrap();
        return;
    }
    let command = "AFTERIMAGE_UPDATE_DOCS=1 cargo test --release -p afterimage --test cli documents::";
    assert!(document[start..end] == *current, "{name} is out of date: run {command}");
}

/// `AFTERIMAGE_UPDATE_DOCS=1 cargo test --release -p afterimage --test cli documents::` writes the current help.
#[test]
fn the_help_is_up_to_date() {
    assert_generated("docs/cli.md", "help", &all_help());
}

/// As above, for the keys of the configuration file.
#[test]
fn the_keys_of_the_configuration_are_up_to_date() {
    assert_generated("docs/configuration.md", "keys", &all_keys());
}

#[test]
fn printed_configuration_files_are_understood() {
    let context = Context::new();
    let mut count = 0;
    for document in documents() {
        for block in document.blocks("toml") {
            context.write("c.toml", &block);
            // Nothing is wrong with the file: the missing pictures are what remains. It may weigh two.
            context.vary_refuses(&["none.png", "none.png", "--config", "c.toml"], &["none.png"]);
            count += 1;
        }
    }
    assert!(count >= 2, "{count} files are printed");
}

/// Commands that need weights or pictures which nobody has: the file that is missing is all that is wrong with them.
#[test]
fn printed_commands_are_understood() {
    let context = Context::new();
    let mut count = 0;
    for document in documents() {
        let blocks = document.blocks("console");
        let lines = blocks.iter().flat_map(|block| block.lines()).filter_map(|line| line.strip_prefix("$ afterimage "));
        for line in lines.filter(|line| !line.ends_with("--help")) {
            let words = words(line);
            if ["vary", "img2img"].contains(&words[0].as_str())
                || words.starts_with(&["models".into(), "inspect".into()])
            {
                let outcome = finish(program().current_dir(context.path("out")).args(&words), &[]);
                // Of several pictures that are taken each by itself every one is named.
                let said = outcome.stderr;
                assert_eq!(outcome.code, Some(2), "{words:?}: {said}");
                assert!(said.contains("no such file"), "{words:?}: {said}");
                assert!(words.iter().any(|word| said.contains(word.as_str())), "{words:?}: {said}");
                count += 1;
            }
        }
    }
    assert!(count >= 5, "{count} commands are printed");
}

/// The words of a shell's line; quotes hold some together, and a comment is none.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (None, '#') if word.is_none() => break,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == letter => quote = None,
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.into_iter().chain(word).collect()
}

#[test]
fn words_are_a_shells() {
    assert_eq!(words("vary 'a b' c=\"d e\"f  # g"), ["vary", "a b", "c=d ef"]);
    assert_eq!(words("a#b ''"), ["a#b", ""]);
}
