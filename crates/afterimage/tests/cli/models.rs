//! `models list` and `models inspect`.

use crate::context::{Context, bundle};
use serde_json::Value;

#[test]
fn the_demo_model_is_always_listed() {
    let context = Context::new();
    let text = context.run(&["models", "list"]).succeeded().text();
    assert!(text.starts_with("demo ") && text.lines().count() == 1, "{text}");
}

#[test]
fn named_models_are_listed_with_whether_they_fit() {
    let context = Context::new();
    let base = bundle("dev/base");
    let outcome = context.run(&["models", "list", "--base", base.to_str().unwrap(), "--redux", "missing", "--json"]);
    let models: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    let row = |number: usize| (models[number]["role"].as_str(), models[number]["fits"].as_bool());
    assert_eq!(
        [row(0), row(1), row(2)],
        [(Some("demo"), Some(true)), (Some("base"), Some(true)), (Some("redux"), Some(false))]
    );
}

#[test]
fn folders_and_files_are_inspected() {
    let context = Context::new();
    let folder = bundle("dev/base");
    let text = context.run(&["models", "inspect", folder.to_str().unwrap()]).succeeded().text();
    assert!(text.contains("FLUX transformer") && text.contains("T5") && text.contains("fits: yes"), "{text}");
    let file = folder.join("vae/diffusion_pytorch_model.safetensors");
    let outcome = context.run(&["models", "inspect", "--json", file.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    assert_eq!((report["fits"].as_bool(), report["components"][0]["kind"].as_str()), (Some(true), Some("vae")));
}

#[test]
fn what_holds_no_model_is_refused() {
    let context = Context::new();
    for path in ["missing", "photo.png", "out"] {
        context.refuses(&["models", "inspect", path], &[path]);
    }
}
