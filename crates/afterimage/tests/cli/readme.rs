//! The README says what the program does.

use crate::context::{finish, program, repository};
use crate::help::{COMMANDS, help};
use std::fmt::Write;
use std::fs;

/// The README with the help of every command between its markers replaced by the program's.
fn with_current_help(readme: &str) -> String {
    const BEGIN: &str = "<!-- help: generated, see crates/afterimage/tests/cli/readme.rs -->\n";
    const END: &str = "<!-- end of help -->\n";
    let start = readme.find(BEGIN).expect("the begin marker") + BEGIN.len();
    let end = readme.find(END).expect("the end marker");
    let mut text = readme[..start].to_owned();
    for names in COMMANDS {
        let line = ["afterimage"].iter().chain(names).copied().collect::<Vec<_>>().join(" ");
        write!(text, "\n```console\n$ {line} --help\n{}```\n", help(names)).unwrap();
    }
    text + "\n" + &readme[end..]
}

/// `AFTERIMAGE_UPDATE_README=1 cargo test --release -p afterimage readme` writes the current help into it.
#[test]
fn the_help_in_the_readme_is_up_to_date() {
    let path = repository().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let current = with_current_help(&readme);
    if std::env::var_os("AFTERIMAGE_UPDATE_README").is_some() {
        fs::write(&path, &current).unwrap();
        return;
    }
    assert!(readme == current, "out of date: run AFTERIMAGE_UPDATE_README=1 cargo test --release -p afterimage readme");
}

/// The README's command that needs no server, in an empty folder, with fewer steps. Its first one is tested in `sdk.rs`.
#[test]
fn the_command_without_a_server_makes_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let command = readme.lines().find_map(|line| line.strip_prefix("$ cargo run --release -- ")).expect("the command");
    let arguments: Vec<String> = command
        .split(' ')
        .map(|word| match word.strip_prefix("docs/") {
            Some(_) => repository().join(word).to_string_lossy().into_owned(),
            None => word.to_owned(),
        })
        .collect();
    let outcome = finish(program().current_dir(folder.path()).args(arguments).args(["--steps", "1"]), &[]);
    assert_eq!(outcome.succeeded().text(), "lake-variation.png\n");
    assert!(folder.path().join("lake-variation.png").is_file());
}

/// Links to files of the repository lead somewhere.
#[test]
fn links_lead_somewhere() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for target in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let target = target.split('#').next().unwrap_or_default();
        if !target.is_empty() && !target.contains("://") {
            assert!(repository().join(target).exists(), "{target}");
        }
    }
}
