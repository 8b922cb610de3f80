//! `--safety`: who looks at results, what is said of it, and what cannot be used.

use crate::checkpoints::{Answers, write_checkpoint};
use crate::context::{Context, Outcome, SMALL, bundle, repository};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// A picture or checkpoint of the safety checkers' cases.
fn case(name: &str) -> PathBuf {
    repository().join("crates/afterimage-engine/tests/safety").join(name)
}

/// `vary photo.png` with `arguments`, small; the object of `--json`.
fn vary(context: &Context, arguments: &[&str]) -> (Value, Outcome) {
    let all: Vec<&str> =
        ["vary", "photo.png", "--json", "-o", "out/a.png"].iter().chain(arguments).chain(&SMALL).copied().collect();
    let outcome = context.run(&all);
    (serde_json::from_slice(&outcome.succeeded().stdout).unwrap(), outcome)
}

#[test]
fn nobody_looks_unless_asked() {
    let context = Context::new();
    for arguments in [&[][..], &["--safety", "off"]] {
        let (report, outcome) = vary(&context, arguments);
        assert_eq!(report["pictures"], json!([{"cached_steps": 0, "flagged": null, "scores": {}}]));
        assert_eq!((&report["timings"]["safety_ms"], outcome.stderr.as_str()), (&json!(0.0), ""));
    }
    assert!(!fs::read(context.path("out/a.png")).unwrap().windows(9).any(|bytes| bytes == b"\"flagged\""));
}

#[test]
fn a_clean_picture_stays_as_it_is_and_says_so() {
    let context = Context::new();
    vary(&context, &[]);
    let plain = image::open(context.path("out/a.png")).unwrap();
    let (report, outcome) = vary(&context, &["--safety", "builtin"]);
    assert_eq!((&report["pictures"][0]["flagged"], outcome.stderr.as_str()), (&json!(false), ""));
    let score = report["pictures"][0]["scores"]["open_nsfw"].as_f64().unwrap();
    assert!((0.0..0.5).contains(&score), "{score}");
    assert!(report["timings"]["safety_ms"].as_f64().unwrap() > 0.0);
    assert!(image::open(context.path("out/a.png")).unwrap() == plain);
    let file = fs::read(context.path("out/a.png")).unwrap();
    let expected = br#""safety":{"checkers":["open_nsfw"],"flagged":false}"#;
    assert!(file.windows(expected.len()).any(|bytes| bytes == expected));
}

#[test]
fn a_flagged_picture_is_black_and_says_so() {
    let context = Context::new();
    let (report, outcome) = vary(&context, &["--safety", "required", "--safety-threshold", "0", "--quiet"]);
    assert_eq!(report["pictures"][0]["flagged"], true);
    assert!(image::open(context.path("out/a.png")).unwrap().to_rgb8().iter().all(|byte| *byte == 0));
    let warning = outcome.stderr.trim_end();
    assert!(warning.starts_with("warning: picture 1 was flagged (open_nsfw 0.") && warning.lines().count() == 1);
    let (report, _) = vary(&context, &["--safety", "builtin", "--safety-threshold", "1", "--num-images", "2"]);
    assert_eq!(report["pictures"].as_array().unwrap().len(), 2);
    assert!(report["pictures"].as_array().unwrap().iter().all(|picture| picture["flagged"] == false));
}

#[test]
fn what_no_model_touched_is_looked_at_too() {
    let context = Context::new();
    fs::copy(case("cases/perturbed-flagged.png"), context.path("perturbed.png")).unwrap();
    let arguments = ["img2img", "perturbed.png", "--prompt", "x", "--strength", "0", "--json", "-o", "out/a.png"];
    let checked: Vec<&str> = arguments.iter().copied().chain(["--safety", "builtin"]).collect();
    let report: Value = serde_json::from_slice(&context.run(&checked).succeeded().stdout).unwrap();
    assert_eq!(report["pictures"][0]["flagged"], true);
    let score = report["pictures"][0]["scores"]["open_nsfw"].as_f64().unwrap();
    assert!((score - 0.998).abs() < 2e-3, "{score}");
}

#[test]
fn several_checkers_have_a_score_each() {
    let context = Context::new();
    let (falconsai, compvis) = (case("tiny/falconsai"), case("tiny/compvis/model.safetensors"));
    let (falconsai, compvis) = (falconsai.to_str().unwrap(), compvis.to_str().unwrap());
    let (report, _) =
        vary(&context, &["--safety", "builtin", "--safety", falconsai, "--safety", compvis, "--safety", "builtin"]);
    assert_eq!(report["pictures"][0]["scores"].as_object().unwrap().len(), 3, "{report}");
}

#[test]
fn checkers_that_cannot_be_used() {
    let context = Context::new();
    let refuses = |values: &[&str], parts: &[&str]| {
        let flags: Vec<&str> = values.iter().flat_map(|value| ["--safety", value]).collect();
        let all: Vec<&str> = ["photo.png"].into_iter().chain(flags).chain(SMALL).collect();
        context.vary_refuses(&all, parts);
    };
    refuses(&["off", "builtin"], &["--safety", "off"]);
    refuses(&["required", "off"], &["--safety", "off"]);
    refuses(&[""], &["--safety"]);
    refuses(&["nowhere"], &["nowhere"]);
    refuses(&["builtin", "photo.png"], &["photo.png"]);
    refuses(&[bundle("dev/base").to_str().unwrap()], &["config.json"]);
    fs::create_dir(context.path("empty")).unwrap();
    refuses(&["empty"], &["empty"]);
    context.refuses(&["serve", "--safety", "off", "--check-inputs"], &["--check-inputs", "--safety off"]);
    context.vary_refuses(&["photo.png", "--safety-threshold", "1.5"], &["--safety-threshold", "0 to 1"]);
    context.vary_refuses(&["photo.png", "--safety-threshold", "NaN"], &["--safety-threshold"]);
}

#[test]
fn weights_that_are_no_numbers() {
    let context = Context::new();
    fs::create_dir(context.path("checker")).unwrap();
    for entry in fs::read_dir(case("tiny/falconsai")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), context.path("checker").join(entry.file_name())).unwrap();
    }
    let weights = context.path("checker/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    // The last tensor's last number.
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&weights, bytes).unwrap();
    let all: Vec<&str> = ["photo.png", "--safety", "checker"].into_iter().chain(SMALL).collect();
    context.vary_refuses(&all, &["model.safetensors", "tensor", "NaN"]);
}

#[test]
fn checkers_from_files_are_believed() {
    let context = Context::new();
    for (name, answers) in [("objects", Answers::Flagged), ("agrees", Answers::Clean)] {
        write_checkpoint(&context.path(name), answers);
    }
    let (report, _) = vary(&context, &["--safety", "agrees"]);
    assert_eq!(report["pictures"][0]["flagged"], false);
    let score = report["pictures"][0]["scores"]["falconsai (agrees)"].as_f64().unwrap();
    assert!((0.0..1e-9).contains(&score), "{score}");
    // One that objects is enough.
    let (report, _) = vary(&context, &["--safety", "agrees", "--safety", "objects", "--safety", "builtin"]);
    assert_eq!(
        (&report["pictures"][0]["flagged"], report["pictures"][0]["scores"].as_object().unwrap().len()),
        (&json!(true), 3)
    );
    assert!(image::open(context.path("out/a.png")).unwrap().to_rgb8().iter().all(|byte| *byte == 0));
}

#[test]
fn a_checker_that_fails_leaves_the_flag_unknown_or_ends_the_command() {
    let context = Context::new();
    write_checkpoint(&context.path("broken"), Answers::NoNumber);
    let (report, outcome) = vary(&context, &["--safety", "broken", "--safety", "builtin"]);
    assert_eq!(report["pictures"][0]["flagged"], Value::Null, "{report}");
    assert!(outcome.stderr.contains("falconsai (broken)") && outcome.stderr.lines().count() == 1, "{}", outcome.stderr);
    fs::remove_file(context.path("out/a.png")).unwrap();
    let all: Vec<&str> =
        ["vary", "photo.png", "-o", "out/a.png", "--safety", "required", "--safety", "broken", "--safety", "builtin"]
            .into_iter()
            .chain(SMALL)
            .collect();
    context.run(&all).failed(1, &["safety checker", "falconsai (broken)"]);
    assert!(!context.path("out/a.png").exists());
}
