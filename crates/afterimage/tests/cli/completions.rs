//! Completions and manual pages.

use crate::context::Context;
use std::fs;
use std::process::Command;

#[test]
fn every_shells_completions_know_commands_and_flags() {
    let context = Context::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = context.run(&["completions", shell]).succeeded().text();
        for part in ["img2img", "redux-strength", "models"] {
            assert!(text.contains(part), "{shell} does not know {part}");
        }
        assert!(!text.contains("engine-process"), "{shell} tells of a command that is not for people");
    }
    context.run(&["completions", "bash", "--output", "out"]).succeeded();
    assert_eq!(context.names_in("out"), ["afterimage.bash"]);
}

#[test]
fn bash_completes_a_flag() {
    let context = Context::new();
    let script = context.path("completions.bash");
    fs::write(&script, context.run(&["completions", "bash"]).succeeded().stdout.clone()).unwrap();
    let line = "source ./completions.bash; COMP_WORDS=(afterimage vary --redux-s); COMP_CWORD=2; \
                _afterimage afterimage --redux-s vary; echo \"${COMPREPLY[*]}\"";
    let Ok(output) = Command::new("bash").args(["--norc", "-c", line]).current_dir(context.path(".")).output() else {
        return; // Windows may have none.
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--redux-strength");
}

#[test]
fn there_is_a_page_for_every_command() {
    let context = Context::new();
    context.run(&["completions", "man", "-o", "out"]).succeeded();
    let pages = context.names_in("out");
    for page in ["afterimage.1", "afterimage-vary.1", "afterimage-serve.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} is not among {pages:?}");
    }
    let page = fs::read_to_string(context.path("out/afterimage-vary.1")).unwrap();
    assert!(page.starts_with(".ie") || page.contains(".TH"), "{page:.200}");
    assert!(page.contains("redux"), "{page:.200}");
    context.run(&["completions", "man"]).refused(&["--output"]);
    context.run(&["completions", "man", "-o", "gone"]).refused(&["--output", "gone"]);
    context.run(&["completions", "tcsh"]).refused(&["bash", "zsh"]);
}
