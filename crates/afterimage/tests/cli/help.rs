//! The help of every command, word for word.

use crate::context::{finish, program};
use insta::assert_snapshot;

/// Every command with a help of its own.
pub const COMMANDS: [&[&str]; 23] = [
    &[],
    &["vary"],
    &["img2img"],
    &["models"],
    &["models", "list"],
    &["models", "inspect"],
    &["models", "pull"],
    &["models", "verify"],
    &["models", "remove"],
    &["models", "synth"],
    &["check"],
    &["bench"],
    &["serve"],
    &["keys"],
    &["keys", "create"],
    &["keys", "list"],
    &["keys", "revoke"],
    &["keys", "role"],
    &["worker"],
    &["mcp"],
    &["migrate"],
    &["import"],
    &["licences"],
];

/// The long help of the command `names`.
pub fn help(names: &[&str]) -> String {
    let outcome = finish(program().args(names).arg("--help"), &[]);
    outcome.succeeded();
    assert_eq!(outcome.stderr, "");
    let text = outcome.text();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn long_help() {
    for names in COMMANDS {
        let name = if names.is_empty() { "afterimage".to_owned() } else { names.join("_") };
        let text = help(names);
        assert_snapshot!(name, text);
    }
}

#[test]
fn short_help_fits_a_screen() {
    for names in COMMANDS {
        let text = finish(program().args(names).arg("-h"), &[]).succeeded().text();
        assert!(text.lines().count() <= 60, "{names:?}: {} lines", text.lines().count());
    }
}

#[test]
fn version() {
    let outcome = finish(program().arg("--version"), &[]);
    assert_eq!(outcome.succeeded().text(), format!("afterimage {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_a_command_the_help_is_bad_usage() {
    let outcome = finish(&mut program(), &[]);
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(2), 0));
    assert!(outcome.stderr.contains("Usage: afterimage"));
}
