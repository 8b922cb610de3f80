//! `bench` on the embedded model.

use crate::context::Context;
use serde_json::Value;

const SMALL: [&str; 5] = ["bench", "--size", "64x64", "--steps", "2"];

#[test]
fn every_stage_is_in_the_table() {
    let context = Context::new();
    let text = context.run(&SMALL).succeeded().text();
    for part in
        ["load", "image encode", "text encode", "VAE encode", "step", "VAE decode", "seconds per step", "GFLOP/s"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn figures_are_plausible() {
    let context = Context::new();
    let arguments: Vec<&str> = SMALL.into_iter().chain(["--repeat", "2", "--json"]).collect();
    let report: Value = serde_json::from_slice(&context.run(&arguments).succeeded().stdout).unwrap();
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name} in {report}"));
    assert_eq!(report["step_seconds"].as_array().map(Vec::len), Some(4));
    assert!(number("seconds_per_step") > 0.0);
    for speed in ["gemm", "gemm_f32", "gemm_int8", "product", "attention"] {
        assert!(number(&format!("{speed}_gflops_per_second")) > 0.0, "{speed}");
    }
    assert!(number("copy_gbytes_per_second") > 0.0 && report.get("gemm_bf16_gflops_per_second").is_some());
    if cfg!(target_os = "linux") {
        assert!(number("peak_memory_bytes") > 1e6);
        assert_eq!(report["step_processor_seconds"].as_array().map(Vec::len), Some(4));
        assert_eq!(report["decode_processor_seconds"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn context_tokens_take_the_place_of_the_encoders() {
    let context = Context::new();
    let collapsed = ["--context-tokens", "20", "--repeated-tokens", "9", "--json"];
    let arguments: Vec<&str> = SMALL.into_iter().chain(collapsed).collect();
    let report: Value = serde_json::from_slice(&context.run(&arguments).succeeded().stdout).unwrap();
    assert_eq!(report["context_tokens"], 20);
    assert_eq!(report["image_encode"], Value::Null);
    context.refuses(&["bench", "--context-tokens", "0"], &["--context-tokens", "0 is out of range"]);
}

#[test]
fn models_that_are_missing_are_refused() {
    let context = Context::new();
    context.refuses(&["bench", "--base", "nowhere"], &["nowhere"]);
}
