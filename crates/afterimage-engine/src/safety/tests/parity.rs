//! Scores are those of the references, on the processor and on the plain device.

use super::super::compvis::{self, CompVisChecker};
use super::super::options::{CheckerChoice, SafetyOptions};
use super::super::preprocessor::Preprocessor;
use super::super::vit;
use super::{SafetyCheckers, builtin, check, open, options, picture, root, tiny};
use crate::bundle::Bundle;
use crate::safety::checkers::Checkers;
use crate::weights::{Component, LayoutSource, layout};
use afterimage_core::{Error, Picture};
use afterimage_device::{Cpu, Device, DeviceLimits, Plain, Recording};
use serde::Deserialize;
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

/// `expected.json`.
#[derive(Deserialize)]
struct Expected {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    file: String,
    score: Option<f64>,
    flagged: Option<bool>,
    label: Option<String>,
    special_cosines: Option<Vec<f32>>,
    cosines: Option<Vec<f32>>,
    highest: Option<f64>,
}

fn cases(folder: &Path, count: usize) -> Vec<Case> {
    let Expected { cases } = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    assert_eq!(cases.len(), count);
    cases
}

fn source(folder: &Path) -> (Bundle, LayoutSource) {
    let bundle = Bundle::open(folder).unwrap();
    let (_, source) = layout::checker(Arc::new(Component::open(&bundle).unwrap())).unwrap();
    (bundle, source)
}

fn compare_builtin<D: Device>(device: D, chosen: impl Fn(&str) -> bool) -> usize {
    let (folder, checkers) = (root().join("cases"), builtin(device));
    let mut compared = 0;
    for case in cases(&folder, 18).iter().filter(|case| chosen(&case.file)) {
        let verdict = check(&checkers, &picture(&folder.join(&case.file))).unwrap();
        let difference = (verdict.scores[0] - case.score.unwrap()).abs();
        println!("{}: {} ({difference:.1e})", case.file, verdict.scores[0]);
        // The reference's own tolerance is 1e-3; its scores have six digits.
        assert!(difference < 1e-5, "{}: {} {difference:e}", case.file, verdict.scores[0]);
        assert_eq!(verdict.flagged, case.flagged.unwrap(), "{}", case.file);
        compared += 1;
    }
    compared
}

#[test]
fn the_builtin_scores_as_the_reference() {
    assert_eq!(compare_builtin(Cpu::detect(), |_| true), 18);
}

#[test]
fn the_builtin_on_the_plain_device() {
    // Slow; a tall picture, and the one whose score shows small errors most.
    let chosen = ["perturbed-middle.png", "tall-1-to-30.png"];
    assert_eq!(compare_builtin(Plain, |file| chosen.contains(&file)), 2);
}

#[test]
fn the_builtin_asks_for_53_convolutions_once_built() {
    let device = Recording::new(0.0, DeviceLimits { activation_bytes: 0, wide_rows: 1, memory_bytes: None });
    let checkers = builtin(device.clone());
    assert_eq!(device.tally().weight_numbers, 0, "not built before it looks");
    let half = check(&checkers, &Picture::from_rgb(1, 1, vec![9; 3]).unwrap()).unwrap();
    assert!(half.flagged && (half.scores[0] - 0.5).abs() < 1e-12);
    let tally = device.tally();
    assert_eq!((tally.count("convolve"), tally.count("max_pool"), tally.count("read")), (53, 1, 1));
    // Those of the published network less its biases, and the 49 of the mean.
    assert_eq!(tally.weight_numbers, 5_891_266 - 13_314 + 49);
    check(&checkers, &Picture::from_rgb(2, 1, vec![9; 6]).unwrap()).unwrap();
    assert_eq!(device.tally().weight_numbers, tally.weight_numbers);
}

fn compare_vit<D: Device>(device: D) {
    let folder = tiny("falconsai");
    let checkers = open(device, &folder).unwrap();
    assert_eq!(checkers.names(), ["falconsai (falconsai)"]);
    for case in cases(&folder, 6) {
        let verdict = check(&checkers, &picture(&folder.join(&case.file))).unwrap();
        let difference = (verdict.scores[0] - case.score.unwrap()).abs();
        println!("{}: {} ({difference:.1e})", case.file, verdict.scores[0]);
        assert!(difference < 1e-4, "{}: {difference:e}", case.file);
        assert_eq!(verdict.flagged, case.label.as_deref() == Some("nsfw"), "{}", case.file);
    }
}

#[test]
fn falconsai_scores_as_transformers() {
    compare_vit(Cpu::detect());
    compare_vit(Plain);
}

fn compare_compvis<D: Device>(device: D, name: &str) {
    let (folder, device) = (tiny(name), Arc::new(device));
    let options = options(vec![CheckerChoice::Path(folder.clone())]);
    let checkers = SafetyCheckers::open(&device, &options).unwrap();
    let (bundle, source) = source(&folder);
    let inside = CompVisChecker::load(&device, &bundle, source).unwrap();
    for case in cases(&folder, 6) {
        let picture = picture(&folder.join(&case.file));
        let found = inside.cosines(&picture, &|| Ok(())).unwrap();
        let expected = [case.special_cosines.unwrap(), case.cosines.unwrap()];
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-4, "{}: {found}, expected {expected}", case.file);
        }
        let verdict = check(&checkers, &picture).unwrap();
        // Rounded in steps of 0.001, so that one next to an edge may end a step away.
        assert!((verdict.scores[0] - case.highest.unwrap()).abs() < 1.1e-3, "{}: {verdict:?}", case.file);
        assert_eq!(verdict.flagged, case.flagged.unwrap(), "{}: {verdict:?}", case.file);
    }
}

#[test]
fn compvis_scores_as_diffusers_under_both_namings() {
    for name in ["compvis", "compvis-doubled"] {
        compare_compvis(Cpu::detect(), name);
        compare_compvis(Plain, name);
    }
}

#[test]
fn preprocessing_is_transformers() {
    #[derive(Deserialize)]
    struct Means {
        cases: Vec<Mean>,
    }
    #[derive(Deserialize)]
    struct Mean {
        file: String,
        pixels_mean: f64,
    }
    for (name, defaults, side) in [("falconsai", &vit::DEFAULTS, 32), ("compvis", &compvis::DEFAULTS, 28)] {
        let folder = tiny(name);
        let preprocessor = Preprocessor::read(&Bundle::open(&folder).unwrap(), defaults, side).unwrap();
        let Means { cases } = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        for Mean { file, pixels_mean } in cases {
            let planes = preprocessor.planes(&picture(&folder.join(&file))).unwrap();
            let mean = planes.iter().map(|value| f64::from(*value)).sum::<f64>() / planes.len() as f64;
            assert!((mean - pixels_mean).abs() < 2e-6, "{name} {file}: {mean}, expected {pixels_mean}");
        }
    }
}

#[test]
fn a_weights_file_stands_for_its_folder() {
    let picture = picture(&tiny("pictures").join("3.png"));
    for name in ["falconsai", "compvis", "compvis-doubled"] {
        let folder = open(Cpu::detect(), &tiny(name)).unwrap();
        let file = open(Cpu::detect(), &tiny(name).join("model.safetensors")).unwrap();
        assert_eq!(file.names(), folder.names());
        assert_eq!(check(&file, &picture).unwrap(), check(&folder, &picture).unwrap());
    }
}

#[test]
fn any_checker_flags_for_all() {
    let paths = ["compvis", "falconsai", "falconsai"].map(|name| CheckerChoice::Path(tiny(name)));
    let choices = [vec![CheckerChoice::Builtin], paths.to_vec()].concat();
    let device = Arc::new(Cpu::detect());
    let checkers = SafetyCheckers::open(&device, &options(choices.clone())).unwrap();
    let names = ["open_nsfw", "compvis (compvis)", "falconsai (falconsai)", "falconsai (falconsai) #2"];
    assert_eq!(checkers.names(), names);
    let harmless = |file: &str| picture(&tiny("pictures").join(file));
    // Clean by falconsai, flagged by compvis; clean by compvis, flagged by falconsai.
    for (file, compvis, vit) in [("4.png", true, false), ("1.png", false, true)] {
        let verdict = check(&checkers, &harmless(file)).unwrap();
        let single = |name: &str| check(&open(Cpu::detect(), &tiny(name)).unwrap(), &harmless(file)).unwrap().flagged;
        assert_eq!((single("compvis"), single("falconsai")), (compvis, vit), "{file}");
        assert!(verdict.flagged && verdict.scores.len() == 4, "{verdict:?}");
    }
    // Everything is flagged at 0, whatever the kind; nothing by a classifier above 1.
    let black = Picture::from_rgb(1, 1, vec![0; 3]).unwrap();
    for choice in choices {
        let at = |threshold| SafetyOptions { threshold, ..options(vec![choice.clone()]) };
        let zero = SafetyCheckers::open(&device, &at(0.0)).unwrap();
        assert!(check(&zero, &black).unwrap().flagged, "{choice:?}");
        if !matches!(&choice, CheckerChoice::Path(path) if path.ends_with("compvis")) {
            assert!(!check(&SafetyCheckers::open(&device, &at(1.1)).unwrap(), &black).unwrap().flagged, "{choice:?}");
        }
    }
    let nobody = SafetyCheckers::open(&device, &SafetyOptions { threshold: 0.0, ..options(Vec::new()) }).unwrap();
    assert!(nobody.is_empty() && !check(&nobody, &black).unwrap().flagged);
}

#[test]
fn pictures_of_every_size_are_checked() {
    let device = Arc::new(Cpu::detect());
    let choices = ["compvis", "falconsai"].map(|name| CheckerChoice::Path(tiny(name))).to_vec();
    let choices = [vec![CheckerChoice::Builtin], choices].concat();
    let checkers = SafetyCheckers::open(&device, &options(choices)).unwrap();
    for (width, height) in [(1, 1), (1, 4096), (4096, 1), (4096, 4096), (255, 257)] {
        let rgb = vec![120; (3 * width * height) as usize];
        let verdict = check(&checkers, &Picture::from_rgb(width, height, rgb).unwrap()).unwrap();
        // Flat, so its size makes no difference.
        let flat = check(&checkers, &Picture::from_rgb(2, 2, vec![120; 12]).unwrap()).unwrap();
        assert_eq!(verdict, flat, "{width}x{height}");
    }
}

#[test]
fn a_check_can_be_stopped_between_layers() {
    let black = Picture::from_rgb(1, 1, vec![0; 3]).unwrap();
    let layers = [(builtin(Cpu::detect()), 16), (open(Cpu::detect(), &tiny("compvis")).unwrap(), 2)];
    for (checkers, layers) in layers {
        let asked = Cell::new(0);
        let count = || {
            asked.set(asked.get() + 1);
            Ok(())
        };
        checkers.check(&black, &count).unwrap();
        assert_eq!(asked.get(), layers + 1);
        for last in 0..=layers {
            let asked = Cell::new(0);
            let stopped = checkers.check(&black, &|| {
                asked.set(asked.get() + 1);
                if asked.get() > last { Err(Error::Cancelled) } else { Ok(()) }
            });
            assert!(matches!(stopped, Err(Error::Cancelled)) && asked.get() == last + 1);
        }
    }
}
