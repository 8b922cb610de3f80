//! Recipes of the justfile and steps of continuous integration are the same.

use crate::context::repository;
use std::fs;

/// Each step has a recipe of its name, with the same words, and each script is a step.
#[test]
fn the_justfile_has_the_steps_of_continuous_integration() {
    let justfile = fs::read_to_string(repository().join("justfile")).unwrap();
    let run = fs::read_to_string(repository().join(".ci/run")).unwrap();
    let listed = run.lines().find_map(|line| line.strip_prefix("steps=(")?.strip_suffix(')')).expect("the steps");
    let listed: Vec<&str> = listed.split(' ').collect();
    for name in &listed {
        let script = fs::read_to_string(repository().join(format!(".ci/steps/{name}.sh"))).unwrap();
        let about = script.lines().nth(1).expect("what it is about");
        let recipe = format!("\n{about}\n{name}:\n    .ci/run {name}\n");
        assert!(justfile.contains(&recipe), "the justfile needs:{recipe}");
    }
    assert_eq!(fs::read_dir(repository().join(".ci/steps")).unwrap().count(), listed.len(), "a script is not listed");
}
