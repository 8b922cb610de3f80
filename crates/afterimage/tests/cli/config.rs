//! The configuration file and the order of precedence.

use crate::context::{Context, SMALL};
use insta::assert_snapshot;
use serde_json::Value;
use std::fmt::Write;

#[test]
fn files_that_cannot_be_used() {
    let context = Context::new();
    let mut text = String::new();
    for contents in [
        "stepz = 4",
        "num_images = 2",
        "[vary]\nrepeat = 3",
        "[vary]\nsteps = 4\n[vary.deeper]\nsteps = 4",
        "[paint]\nsteps = 4",
        "vary = 4",
        "steps = 51",
        "steps = \"many\"",
        "guidance = nan",
        "guidance = inf",
        "steps = [1, 2]",
        "steps = 1979-05-27",
        "image-weight = [0.5, [0.5]]",
        "image-weight = [0.5, 0.5]",
        "json = \"perhaps\"",
        "config = \"other.toml\"",
        "size = 512",
        "steps = ",
        "\nsteps = 4\nsteps = 5",
        "[vary]\nsteps = 51",
        "\u{1}",
    ] {
        context.write("c.toml", contents);
        let line = context.vary_refuses(&["photo.png", "--config", "c.toml"], &["c.toml"]);
        writeln!(text, "{} => {line}", contents.escape_debug()).unwrap();
    }
    assert_snapshot!(text);
}

#[test]
fn files_that_cannot_be_read() {
    let context = Context::new();
    context.write("binary.toml", [0xff, 0xfe, 0x00]);
    context.write("huge.toml", "#".repeat(5 << 20));
    context.vary_refuses(&["photo.png", "--config", "none.toml"], &["--config", "none.toml"]);
    context.vary_refuses(&["photo.png", "--config", "out"], &["--config", "out", "folder"]);
    context.vary_refuses(&["photo.png", "--config", "binary.toml"], &["--config", "binary.toml"]);
    context.vary_refuses(&["photo.png", "--config", "huge.toml"], &["--config", "huge.toml"]);
}

#[test]
fn keys_of_other_commands_are_known_but_do_not_apply() {
    let context = Context::new();
    context.write(
        "c.toml",
        "strength = 0.5\nrepeat = 3\n[img2img]\nsteps = 51\n[vary]\nsteps = 50\n[models.inspect]\njson = true\n",
    );
    // Nothing is wrong with the file for `vary`: the missing picture is what remains.
    context.vary_refuses(&["no.png", "--config", "c.toml"], &["no.png"]);
    context.refuses(&["img2img", "no.png", "--config", "c.toml", "--prompt", "x"], &["--steps (from c.toml)", "51"]);
    // `img2img`'s strength is one of `vary`, too, but only with something to start from.
    context.vary_refuses(&["no.png", "--strength", "0.5"], &["--strength", "--init"]);
}

#[test]
fn config_may_stand_before_the_command_or_in_the_environment() {
    let context = Context::new();
    context.write("c.toml", "steps = 51");
    context.refuses(&["--config", "c.toml", "vary", "photo.png"], &["--steps (from c.toml)"]);
    context
        .run_with_variable(&["vary", "photo.png"], "AFTERIMAGE_CONFIG", "c.toml")
        .refused(&["--steps (from c.toml)"]);
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let context = Context::new();
    context.write(
        "c.toml",
        "seed = 3\nsteps = 1\nnum-images = 2\njson = true\noutput = \"out\"\n[vary]\nsize = \"64x48\"\nseed = 4\n",
    );
    let run = |arguments: &[&str], variable: &str| {
        let arguments: Vec<&str> =
            ["vary", "photo.png", "--config", "c.toml"].iter().chain(arguments).copied().collect();
        let outcome = context.run_with_variable(&arguments, variable, "5");
        let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
        report
    };
    let report = run(&[], "AFTERIMAGE_UNUSED");
    assert_eq!((report["seed"].as_u64(), report["outputs"].as_array().map(Vec::len)), (Some(4), Some(2)));
    assert_eq!((report["width"].as_u64(), report["height"].as_u64()), (Some(64), Some(48)));
    assert_eq!(run(&[], "AFTERIMAGE_SEED")["seed"].as_u64(), Some(5));
    assert_eq!(run(&["--seed", "6"], "AFTERIMAGE_SEED")["seed"].as_u64(), Some(6));
    assert_eq!(run(&SMALL, "AFTERIMAGE_SEED")["height"].as_u64(), Some(64));
}
