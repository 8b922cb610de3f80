//! `check`: what safety checkers say of pictures; `licences`: whose they are.

use crate::context::Context;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Pictures and checkers of the engine's parity tests.
fn kit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../afterimage-engine/tests/safety").join(name)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn each_picture_is_a_line() {
    let (flagged, clean) = (text(&kit("cases/perturbed-flagged.png")), text(&kit("cases/photo-portrait.png")));
    let context = Context::new();
    let lines = context.run(&["check", &flagged, &clean, "photo.png"]).succeeded().text();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[0], format!("flagged 0.998  {flagged}"));
    assert!(lines[1].starts_with("clean 0.") && lines[1].ends_with(&format!("  {clean}")), "{lines:?}");
    assert!(lines[2].starts_with("clean 0.") && lines[2].ends_with("  photo.png"), "{lines:?}");
    assert_eq!(lines.len(), 3);
    // 0 flags everything.
    let line = context.run(&["check", "photo.png", "--safety-threshold", "0"]).succeeded().text();
    assert!(line.starts_with("flagged 0."), "{line}");
    // Standard input, and a server's settings in the environment.
    let piped = context.run_with_input(&["check", "-"], &std::fs::read(&flagged).unwrap()).succeeded().text();
    assert_eq!(piped, "flagged 0.998  -\n");
    let required = context.run_with_variable(&["check", &flagged], "AFTERIMAGE_SAFETY", "required");
    assert_eq!(required.succeeded().text(), format!("flagged 0.998  {flagged}\n"));
}

#[test]
fn several_checkers_are_asked() {
    let context = Context::new();
    let [falconsai, compvis] = ["tiny/falconsai", "tiny/compvis"].map(|name| text(&kit(name)));
    let picture = text(&kit("tiny/pictures/2.png"));
    let arguments = ["check", "--json", "--safety", &falconsai, "--safety", &compvis, "--safety", "builtin", &picture];
    let outcome = context.run(&arguments);
    let findings: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    let finding = &findings[0];
    assert_eq!((finding["file"].as_str(), finding["flagged"].as_bool()), (Some(picture.as_str()), Some(true)));
    let score = |name: &str| finding["scores"][name].as_f64().unwrap_or_else(|| panic!("{name} in {finding}"));
    assert!((score("falconsai (falconsai)") - 0.711_388).abs() < 1e-4);
    assert!((score("compvis (compvis)") - 0.001).abs() < 1.1e-3);
    assert!(score("open_nsfw") < 0.5);
    assert_eq!(findings.as_array().map(Vec::len), Some(1));
}

#[test]
fn what_cannot_be_used_is_named() {
    let context = Context::new();
    context.refuses(&["check"], &["PICTURE"]);
    context.refuses(&["check", "none.png"], &["none.png"]);
    context.refuses(&["check", "-", "-"], &["standard input can be read only once"]);
    context.refuses(&["check", "photo.png", "--safety", "off"], &["--safety", "off leaves nobody to look"]);
    context.refuses(&["check", "photo.png", "--safety", "nowhere"], &["nowhere: no such file"]);
    context.refuses(&["check", "photo.png", "--safety", "out"], &["out", "has no weights"]);
    context.refuses(&["check", "photo.png", "--safety", "photo.png"], &["photo.png", "not a weights file"]);
    context.refuses(&["check", "photo.png", "--safety-threshold", "1.5"], &["--safety-threshold", "0 to 1"]);
    context.refuses(&["check", "photo.png", "--device", "cuda"], &["--device"]);
    let flux = Path::new(env!("CARGO_MANIFEST_DIR")).join("../afterimage-engine/tests/parity/bundles/dev/base/vae");
    context.refuses(&["check", "photo.png", "--safety", &text(&flux)], &["is not a safety checker"]);
}

#[test]
fn the_licences_of_embedded_weights_are_printed() {
    let context = Context::new();
    for name in ["licences", "licenses"] {
        let text = context.run(&[name]).succeeded().text();
        for part in [
            "MIT OR Apache-2.0",
            "open_nsfw",
            "Copyright 2016, Yahoo Inc.",
            "Redistributions in binary form must reproduce the above copyright notice",
            "THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS \"AS IS\"",
            "weights rounded to 8 bits",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
