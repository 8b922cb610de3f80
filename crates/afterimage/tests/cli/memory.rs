//! `--memory-budget`, kept by a real process: a model that is larger than what it may take.

use crate::context::{Context, repository};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Single blocks of the demo model.
const OWN: u32 = 4;

/// Single blocks of the large one, as many as a configuration may have: about 560 MB.
const BLOCKS: u32 = 256;

/// A budget that is too small for all weights and large enough for one matrix at a time.
const BUDGET: u64 = 300_000_000;

fn demo() -> PathBuf {
    repository().join("crates/afterimage-demo/bundle")
}

/// The demo's transformer with more single blocks, all of zeros: what they add to the picture is nothing. The zeros are a
/// hole at the end of the file, which takes no room on the disk and as much memory as anything else.
fn write_large(path: &Path) -> u64 {
    let small = fs::read(demo().join("transformer/diffusion_pytorch_model.safetensors")).unwrap();
    let length = usize::try_from(u64::from_le_bytes(small[..8].try_into().unwrap())).unwrap();
    let mut tensors: Map<String, Value> = serde_json::from_slice(&small[8..8 + length]).unwrap();
    let weights = &small[8 + length..];
    let mut end = weights.len() as u64;
    let first = "single_transformer_blocks.0.";
    let block: Vec<(String, Value)> = tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(first)?.to_owned(), tensor.clone())))
        .collect();
    for index in OWN..BLOCKS {
        for (name, tensor) in &block {
            let numbers: u64 = tensor["shape"].as_array().unwrap().iter().map(|side| side.as_u64().unwrap()).product();
            let offsets = [end, end + 4 * numbers];
            let zeros = json!({"dtype": "F32", "shape": tensor["shape"], "data_offsets": offsets});
            tensors.insert(format!("single_transformer_blocks.{index}.{name}"), zeros);
            end = offsets[1];
        }
    }
    let mut header = serde_json::to_vec(&tensors).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    file.write_all(weights).unwrap();
    let bytes = 8 + header.len() as u64 + end;
    file.set_len(bytes).unwrap();
    bytes
}

fn arguments(transformer: Option<&Path>, budget: Option<u64>) -> Vec<String> {
    let demo = demo();
    let shown = |path: &Path| path.display().to_string();
    let fixed = "vary photo.png --size 64x64 --steps 2 --seed 1 --safety off --metadata none --output out/a.png";
    let mut words: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
    let flags = [
        ("--base", Some(shown(&demo))),
        ("--redux", Some(shown(&demo.join("redux")))),
        ("--transformer", transformer.map(shown)),
        ("--memory-budget", budget.map(|bytes| bytes.to_string())),
    ];
    for (flag, value) in flags {
        words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    words
}

/// The picture, what was said, and the most memory that the process took. Linux keeps the peak, and it only grows, so a
/// reading shortly before the end will do.
fn run(context: &Context, arguments: &[String]) -> (Vec<u8>, String, u64) {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = context.command(&words);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = line.map_or(peak, |kilobytes| kilobytes.trim().parse::<u64>().unwrap() * 1024);
        // Real time: samples of a process.
        std::thread::sleep(Duration::from_millis(2));
    }
    let outcome = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(outcome.status.success(), "{said}");
    (fs::read(context.path("out/a.png")).unwrap(), said, peak)
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_larger_than_the_budget_is_streamed_and_the_budget_kept() {
    let context = Context::new();
    let large = context.path("large.safetensors");
    let bytes = write_large(&large);
    assert!(bytes > BUDGET + BUDGET / 4);
    let (expected, _, _) = run(&context, &arguments(None, None));
    let (kept, said, peak) = run(&context, &arguments(Some(&large), None));
    assert!(peak > bytes && !said.contains("streamed"), "{peak}: {said}");
    let (streamed, said, peak) = run(&context, &arguments(Some(&large), Some(BUDGET)));
    assert!(peak < BUDGET, "{peak} of {BUDGET}: {said}");
    assert!(said.contains("transformer 0.6 GB streamed from the file"), "{said}");
    assert_eq!([&kept, &streamed], [&expected; 2]);
}

/// The benchmark makes no request: it keeps its networks itself.
#[cfg(target_os = "linux")]
#[test]
fn a_benchmark_keeps_its_budget() {
    let context = Context::new();
    let large = context.path("large.safetensors");
    write_large(&large);
    let bench = |budget: &[&str]| {
        let (demo, redux) = (demo(), demo().join("redux"));
        let mut words = vec!["bench", "--base", demo.to_str().unwrap(), "--redux", redux.to_str().unwrap()];
        words.extend(["--transformer", large.to_str().unwrap(), "--size", "64x64", "--steps", "1", "--repeat", "1"]);
        words.extend(budget);
        context.run(&[&words[..], &["--json"]].concat())
    };
    let report: Value = serde_json::from_slice(&bench(&["--memory-budget", "300MB"]).succeeded().stdout).unwrap();
    let peak = report["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak < BUDGET, "{peak} of {BUDGET}");
    bench(&["--memory-budget", "100MB"]).refused(&["0.1 GB are to be had (--memory-budget)"]);
}

#[test]
fn what_cannot_fit_is_refused_with_what_it_would_take() {
    let context = Context::new();
    let refused = |budget: &str, parts: &[&str]| {
        let (base, out) = (demo(), ["--size", "64x64", "--steps", "1"]);
        let mut words = vec!["--base", base.to_str().unwrap(), "photo.png", "--memory-budget", budget];
        words.extend(out);
        context.vary_refuses(&words, parts);
    };
    refused("100MB", &["needs 0.", "0.1 GB are to be had (--memory-budget)"]);
    refused("0", &["--memory-budget"]);
    refused("lots", &["--memory-budget", "lots"]);
}
