//! Bad flags: exit code 2 and one line that names the flag and what would be right.

use crate::context::Context;
use insta::assert_snapshot;
use std::fmt::Write;

/// One line for each of `cases`, which are arguments after `vary photo.png --output out`.
fn lines(cases: &[&[&str]]) -> String {
    let context = Context::new();
    cases.iter().fold(String::new(), |mut text, case| {
        let arguments: Vec<&str> = ["photo.png"].iter().chain(*case).copied().collect();
        let line = context.vary_refuses(&arguments, &[]);
        writeln!(text, "{} => {line}", case.join(" ")).unwrap();
        text
    })
}

#[test]
fn values_out_of_range() {
    let text = lines(&[
        &["--steps", "0"],
        &["--steps", "51"],
        &["--steps", "-1"],
        &["--steps=99999999999999999999"],
        &["--steps", "1.5"],
        &["--steps", ""],
        &["--steps", "NaN"],
        &["--guidance", "NaN"],
        &["--guidance", "inf"],
        &["--guidance", "-inf"],
        &["--guidance", "0.99"],
        &["--guidance", "20.01"],
        &["--redux-strength", "1.01"],
        &["--redux-strength", "nan"],
        &["--redux-strength", "-0.1"],
        &["--redux-downsample", "0.5"],
        &["--redux-downsample", "9.5"],
        &["--redux-downsample", "many"],
        &["--size", "0x0"],
        &["--size", "0"],
        &["--size", "8x8"],
        &["--size", "8"],
        &["--size", "99999x99999"],
        &["--size", "99999"],
        &["--size", "512x"],
        &["--size", "-512x512"],
        &["--size", "512x512x512"],
        &["--size", "NaNxNaN"],
        &["--size", "99999999999x16"],
        &["--seed", "-2"],
        &["--seed", "1.5"],
        &["--seed", "abc"],
        &["--seed", "18446744073709551616"],
        &["--num-images", "0"],
        &["--num-images", "5"],
        &["--image-weight", "NaN"],
        &["--image-weight", "11"],
        &["--image-weight", "0.5,0.5"],
        &["--image-weight", ""],
        &["--empty-prompt", "none"],
        &["--format", "webp"],
        &["--format", ""],
        &["--device", "tpu"],
        &["--device", "cuda:x"],
        &["--dtype", "f16"],
        &["--cache-threshold", "1.5"],
        &["--cache-threshold", "-0.1"],
        &["--cache-threshold", "nan"],
        &["--cache-threshold", "much"],
    ]);
    assert_snapshot!(text);
}

#[test]
fn flags_that_are_not_there() {
    let text = lines(&[
        &["--stepz", "4"],
        &["--completely-different"],
        &["-x"],
        &["--strength", "0.5"],
        &["--steps"],
        &["--steps", "4", "--steps", "5"],
        &["--json=maybe"],
    ]);
    assert_snapshot!(text);
}

#[test]
fn commands_and_arguments() {
    let context = Context::new();
    let mut text = String::new();
    for arguments in [
        &["paint", "photo.png"][..],
        &["vary"],
        &["img2img", "--prompt", "x"],
        &["img2img", "photo.png"],
        &["img2img", "photo.png", "--prompt", ""],
        &["img2img", "photo.png", "photo.png", "--prompt", "x"],
        &["img2img", "photo.png", "--prompt", "x", "--strength", "1.5"],
        &["img2img", "photo.png", "--prompt", "x", "--strength", "NaN"],
        &["img2img", "photo.png", "--prompt", "x", "--redux-strength", "1"],
        &["models", "inspect"],
        &["models", "paint"],
        &["bench", "--preset", "huge"],
        &["bench", "--steps", "0"],
        &["bench", "--repeat", "0"],
        &["bench", "--size", "8x8"],
    ] {
        writeln!(text, "{} => {}", arguments.join(" "), context.refuses(arguments, &[])).unwrap();
    }
    assert_snapshot!(text);
}

#[test]
fn long_prompts_are_refused_without_being_repeated() {
    let context = Context::new();
    // The system passes at most 128 KiB in one argument; the rest of the megabyte has to come from a file.
    let prompt = "x".repeat(100_000);
    context.vary_refuses(&["photo.png", "--prompt", &prompt], &["--prompt", "100000 bytes", "65536"]);
    context.write("long.toml", format!("prompt = \"{}\"\n", "ä".repeat(1 << 19)));
    context.vary_refuses(&["photo.png", "--config", "long.toml"], &["--prompt", "long.toml", "1048576 bytes", "65536"]);
    for flag in ["--size", "--seed", "--steps", "--guidance", "--device", "--format"] {
        context.vary_refuses(&["photo.png", flag, &prompt], &[flag]);
    }
}

#[test]
fn too_many_pictures() {
    let context = Context::new();
    context.vary_refuses(&["photo.png"; 9], &["IMAGE", "9", "8"]);
    context.vary_refuses(&["-", "-"], &["IMAGE", "standard input"]);
    context.vary_refuses(&["photo.png", "photo.png", "--image-weight", "1"], &["--image-weight", "2 pictures"]);
}

#[test]
fn values_from_the_environment_are_named_by_variable() {
    let context = Context::new();
    for (name, value, flag) in [
        ("AFTERIMAGE_STEPS", "51", "--steps"),
        ("AFTERIMAGE_SIZE", "8x8", "--size"),
        ("AFTERIMAGE_GUIDANCE", "NaN", "--guidance"),
        ("AFTERIMAGE_IMAGE_WEIGHT", "1,2", "--image-weight"),
        ("AFTERIMAGE_JSON", "perhaps", "--json"),
    ] {
        context.run_with_variable(&["vary", "photo.png", "--output", "out"], name, value).refused(&[flag, name]);
    }
    // A flag wins, so the variable is not to blame.
    let outcome = context
        .run_with_variable(&["vary", "photo.png", "--steps", "0"], "AFTERIMAGE_STEPS", "51")
        .refused(&["--steps: 0"]);
    assert!(!outcome.contains("AFTERIMAGE_STEPS"), "{outcome}");
}
