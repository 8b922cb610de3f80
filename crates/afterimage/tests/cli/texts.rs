//! Values as people and their scripts write them: texts that begin with a hyphen, variables that are empty, other
//! spellings of a word, strength 0.

use crate::context::{Context, SMALL};
use serde_json::Value;
use std::fs;

fn vary<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ["vary", "photo.png"].iter().chain(&SMALL).chain(more).copied().collect()
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[test]
fn texts_may_begin_with_a_hyphen() {
    let context = Context::new();
    for (prompt, noted) in [
        ("-5 degrees outside", "-5 degrees outside"),
        ("- a list", "- a list"),
        ("--ar 16:9", "--ar 16:9"),
        ("-", "\"prompt\":\"-\""),
        ("--", "\"prompt\":\"--\""),
        ("-q and more", "-q and more"),
    ] {
        context.run(&vary(&["--prompt", prompt, "-o", "out/a.png"])).succeeded();
        assert!(holds(&fs::read(context.path("out/a.png")).unwrap(), noted), "{prompt}");
    }
    context.run(&vary(&["--prompt=--quiet", "-o", "out/a.png"])).succeeded();
    assert!(holds(&fs::read(context.path("out/a.png")).unwrap(), "--quiet"));
    context.run(&["keys", "create", "--name", "-team one", "--data-dir", "-data"]).succeeded();
    assert!(context.run(&["keys", "list", "--data-dir", "-data"]).succeeded().text().contains("-team one"));
    Context::new().vary_refuses(&["photo.png", "--base", "-no such folder"], &["-no such folder"]);
}

#[test]
fn a_flag_in_the_place_of_a_value_is_a_missing_value() {
    let context = Context::new();
    for (flag, next) in [
        ("--prompt", "--steps"),
        ("--prompt", "--quiet"),
        ("--prompt", "-q"),
        ("--steps", "--json"),
        ("--output", "-q"),
    ] {
        let line = context.refuses(&["vary", "photo.png", flag, next, "4"], &[&format!("{flag}: a value is missing")]);
        assert!(!line.contains("unknown"), "{line}");
    }
}

#[test]
fn empty_variables_count_as_absent() {
    let context = Context::new();
    for name in [
        "PROMPT",
        "SEED",
        "STEPS",
        "SIZE",
        "GUIDANCE",
        "NUM_IMAGES",
        "ENLARGE",
        "BASE",
        "REDUX",
        "TRANSFORMER",
        "DEVICE",
        "DTYPE",
        "CACHE_THRESHOLD",
        "FORMAT",
        "JSON",
        "QUIET",
        "CONFIG",
        "IMAGE_WEIGHT",
        "REDUX_STRENGTH",
        "REDUX_DOWNSAMPLE",
        "EMPTY_PROMPT",
        "OUTPUT",
    ] {
        let variable = format!("AFTERIMAGE_{name}");
        let outcome =
            context.run_with_variable(&["vary", "photo.png", "--size", "64x64", "--steps", "1"], &variable, "");
        assert_eq!(outcome.succeeded().text(), "photo-variation.png\n", "{variable}");
    }
    let help = context.run(&["vary", "--help"]).succeeded().text();
    let with_variable = context.run_with_variable(&["vary", "--help"], "AFTERIMAGE_SEED", "");
    assert_eq!(with_variable.succeeded().text(), help);
    // The file's value counts where the variable has none.
    context.write("a.toml", "steps = 51\n");
    let arguments = ["vary", "photo.png", "--config", "a.toml", "-o", "out"];
    context.run_with_variable(&arguments, "AFTERIMAGE_STEPS", "").refused(&["--steps (from a.toml): 51"]);
    // As does a flag's own fault.
    let line =
        context.run_with_variable(&["vary", "photo.png", "--seed", "x"], "AFTERIMAGE_SEED", "").refused(&["--seed: "]);
    assert!(!line.contains("AFTERIMAGE_SEED"), "{line}");
}

#[test]
fn formats_have_two_names_in_any_case() {
    let context = Context::new();
    for format in ["jpg", "JPG", "jpeg", "Jpeg"] {
        context.run(&vary(&["--format", format, "-o", "out/a.jpg"])).succeeded();
        assert!(fs::read(context.path("out/a.jpg")).unwrap().starts_with(b"\xff\xd8\xff"), "{format}");
    }
    context.run(&vary(&["--format", "PNG", "-o", "out/a.png"])).succeeded();
}

#[test]
fn every_seed_is_taken_as_it_is() {
    let context = Context::new();
    let run = |seed: &str, file: &str| {
        let arguments = ["vary", "photo.png", "--size", "64x64", "--steps", "1", "--json", "--seed", seed, "-o", file];
        let report: Value = serde_json::from_slice(&context.run(&arguments).succeeded().stdout).unwrap();
        (report["seed"].as_u64().unwrap(), image::open(context.path(file)).unwrap().to_rgb8())
    };
    for seed in ["2147483648", "9007199254740993", "18446744073709551615"] {
        let (reported, first) = run(seed, "out/a.png");
        assert_eq!(reported.to_string(), seed);
        assert!(holds(&fs::read(context.path("out/a.png")).unwrap(), &format!("\"seed\":{seed}")));
        assert!(first == run(seed, "out/b.png").1);
    }
    assert!(run("4294967303", "out/a.png").1 == run("7", "out/b.png").1, "the lower half decides, as in torch");
    for _ in 0..3 {
        assert!(run("-1", "out/a.png").0 <= 2_147_483_647);
    }
}

#[test]
fn strength_0_gives_the_picture_back() {
    let context = Context::new();
    let run = |more: &[&str]| {
        let arguments = ["img2img", "photo.png", "--prompt", "dusk", "--json", "-o", "out/a.png"];
        let all: Vec<&str> = arguments.iter().chain(more).copied().collect();
        let report: Value = serde_json::from_slice(&context.run(&all).succeeded().stdout).unwrap();
        assert_eq!(report["steps"], 0);
        for stage in ["load_ms", "image_encode_ms", "text_encode_ms", "denoise_ms", "decode_ms"] {
            assert_eq!(report["timings"][stage], 0.0, "{stage}");
        }
        image::open(context.path("out/a.png")).unwrap().to_rgb8()
    };
    assert!(run(&["--strength", "0"]) == image::open(context.path("photo.png")).unwrap().to_rgb8());
    let resized = run(&["--strength", "0.0", "--size", "96x40"]);
    assert_eq!(resized.dimensions(), (96, 32));
}
