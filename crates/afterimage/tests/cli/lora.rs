//! `--lora` on the command line.

use crate::context::{Context, bundle};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../afterimage-engine/tests/lora").join(format!("{name}.safetensors"))
}

fn vary(lora: &[String]) -> Vec<String> {
    let base = bundle("dev/base");
    let fixed = ["img2img", "photo.png", "--prompt", "a lake", "--size", "64x64", "--steps", "2", "--seed", "1"];
    let mut words: Vec<String> = fixed.iter().map(|word| (*word).to_owned()).collect();
    words.extend(["--quiet".to_owned(), "--base".to_owned(), base.display().to_string(), "--output".to_owned()]);
    words.push("out/made.png".to_owned());
    words.extend(lora.iter().flat_map(|lora| ["--lora".to_owned(), lora.clone()]));
    words
}

fn picture(context: &Context, lora: &[String]) -> Vec<u8> {
    let words = vary(lora);
    context.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).succeeded();
    std::fs::read(context.path("out/made.png")).unwrap()
}

#[test]
fn a_lora_changes_the_picture_and_is_told_in_it() {
    let context = Context::new();
    let kohya = file("kohya").display().to_string();
    let (plain, none) = (picture(&context, &[]), picture(&context, &[format!("{kohya}:0")]));
    assert_eq!(plain, none, "scale 0 does not use it");
    let with = picture(&context, &[format!("{kohya}:0.8"), file("xlabs").display().to_string()]);
    assert_ne!(with, plain);
    let told = |text: &str| with.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(told(r#""loras":[{"name":"kohya","scale":0.8},{"name":"xlabs","scale":1.0}]"#));
    assert!(told("LoRA: \"kohya: 0.8, xlabs: 1\""));
}

#[test]
fn what_is_no_lora_of_the_model_is_refused_in_one_line() {
    let context = Context::new();
    let refuses = |lora: &str, parts: &[&str]| {
        let words = vary(&[lora.to_owned()]);
        context.refuses(&words.iter().map(String::as_str).collect::<Vec<_>>(), parts);
    };
    refuses("missing.safetensors", &["missing.safetensors"]);
    refuses("photo.png", &["photo.png"]);
    refuses("x.safetensors:9", &["--lora", "9 is out of range; -4 to 4 are accepted"]);
    let recorded = file("recorded").display().to_string();
    refuses(&recorded, &[&recorded, "found no tensor of a LoRA"]);
}

#[test]
fn inspection_tells_a_lora() {
    let context = Context::new();
    let outcome = context.run(&["models", "inspect", "--json", file("peft").to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    let found = &report["components"][0];
    assert_eq!((found["kind"].as_str(), found["layout"].as_str()), (Some("lora"), Some("diffusers (PEFT)")));
}
