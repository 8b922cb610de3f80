//! The README is short, and its command without a server works. The other commands and examples are run in `sdk.rs`.

use crate::context::{finish, program, repository};
use crate::printed::Document;

#[test]
fn the_readme_is_short() {
    let count = Document::read("README.md").text.lines().count();
    assert!(count <= 250, "{count} lines");
}

/// In an empty folder, with fewer steps.
#[test]
fn the_command_without_a_server_makes_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let readme = Document::read("README.md").text;
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
