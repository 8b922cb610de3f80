//! LoRAs in an engine: its own and those that requests name.

use super::{base, file};
use afterimage_core::{Error, Field, GenerationRequest, LoraChoice, Picture, Result, Size, Task};
use afterimage_engine::{DtypeChoice, Engine, EngineOptions, Generation, LoraFile, Silent};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn options(loras: &[(&str, f64)], folder: Option<&Path>) -> EngineOptions {
    EngineOptions {
        base: Some(base()),
        loras: loras.iter().map(|(form, scale)| LoraFile { path: file(form), scale: *scale }).collect(),
        lora_dir: folder.map(Path::to_path_buf),
        dtype: DtypeChoice::F32,
        ..EngineOptions::default()
    }
}

fn choice(name: &str, scale: f64) -> LoraChoice {
    LoraChoice { name: name.parse().unwrap(), scale }
}

fn run(engine: &Engine, loras: &[(&str, f64)]) -> Result<Generation> {
    let request = GenerationRequest {
        prompt: Some("a lake".to_owned()),
        size: Some(Size::new(48, 32)),
        steps: 2,
        seed: Some(7),
        loras: loras.iter().map(|(name, scale)| choice(name, *scale)).collect(),
        ..GenerationRequest::new(Task::TextToImage)
    };
    engine.generate(&request, &[], &Silent)
}

fn picture(engine: &Engine, loras: &[(&str, f64)]) -> Picture {
    run(engine, loras).unwrap().pictures.remove(0)
}

fn largest_difference(one: &Picture, other: &Picture) -> u8 {
    one.rgb().iter().zip(other.rgb()).map(|(one, other)| one.abs_diff(*other)).max().unwrap()
}

/// A folder of LoRAs by the names of their forms.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for form in ["kohya", "xlabs", "text-peft"] {
        fs::copy(file(form), folder.path().join(format!("{form}.safetensors"))).unwrap();
    }
    folder
}

fn open(loras: &[(&str, f64)], folder: Option<&Path>) -> Engine {
    Engine::open(&options(loras, folder)).unwrap()
}

#[test]
fn a_request_with_a_lora_leaves_nothing_to_the_next() {
    let folder = folder();
    let never = picture(&open(&[], None), &[]);
    let engine = open(&[], Some(folder.path()));
    for lora in ["kohya", "xlabs", "text-peft"] {
        let with = picture(&engine, &[(lora, 1.0)]);
        assert!(largest_difference(&with, &never) > 2, "{lora} shows");
        assert_eq!(picture(&engine, &[]), never, "after {lora}");
        assert_eq!(picture(&engine, &[(lora, 0.0)]), never, "none of {lora}");
        assert_eq!(picture(&engine, &[(lora, 1.0)]), with, "{lora} again");
    }
    let facts = run(&engine, &[("xlabs", 0.5), ("kohya", 0.0)]).unwrap().facts;
    assert_eq!(facts.loras, [choice("xlabs", 0.5)]);
}

#[test]
fn prompts_are_known_only_under_the_same_encoders() {
    let folder = folder();
    let engine = open(&[], Some(folder.path()));
    let cached = |loras: &[(&str, f64)]| run(&engine, loras).unwrap().facts.text_cached;
    assert!(!cached(&[]));
    assert!(cached(&[("kohya", 1.0)]), "the transformer's alone");
    assert!(!cached(&[("text-peft", 1.0)]) && !cached(&[("text-peft", 0.5)]));
    assert!(cached(&[("text-peft", 1.0), ("xlabs", 1.0)]) && cached(&[]));
}

#[test]
fn the_engines_own_is_what_a_request_would_name() {
    let folder = folder();
    let named = picture(&open(&[], Some(folder.path())), &[("kohya", 0.8), ("text-peft", 0.5)]);
    let own = open(&[("kohya", 0.8), ("text-peft", 0.5)], Some(folder.path()));
    // Merged here and beside the weights there.
    assert!(largest_difference(&picture(&own, &[]), &named) <= 1);
    let facts = run(&own, &[("xlabs", -1.0)]).unwrap().facts;
    assert_eq!(facts.loras, [choice("kohya", 0.8), choice("text-peft", 0.5), choice("xlabs", -1.0)]);
    let taken_back = picture(&own, &[("kohya", -0.8), ("text-peft", -0.5)]);
    assert!(largest_difference(&taken_back, &picture(&open(&[], None), &[])) <= 1);
    assert!(matches!(Engine::open(&options(&[("recorded", 1.0)], None)), Err(Error::Tensor { .. })));
}

fn problem(engine: &Engine, name: &str) -> String {
    match run(engine, &[(name, 1.0)]) {
        Err(Error::Field { field: Field::Loras, problem }) => problem,
        other => panic!("{name}: {:?}", other.map(|made| made.facts)),
    }
}

#[test]
fn names_are_those_of_the_folder_and_nothing_else() {
    let folder = folder();
    let engine = open(&[], Some(folder.path()));
    assert_eq!(problem(&engine, "other"), "`other` is not in the folder of LoRAs; there are kohya, text-peft, xlabs");
    assert_eq!(problem(&open(&[], None), "kohya"), "`kohya` is not known; this engine has no folder of LoRAs");
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(
        problem(&open(&[], Some(empty.path())), "kohya"),
        "`kohya` is not in the folder of LoRAs; there are none"
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(file("fal"), folder.path().join("out.safetensors")).unwrap();
        assert!(problem(&engine, "out").starts_with("`out` is a link that leads out of the folder of LoRAs"));
        std::os::unix::fs::symlink("kohya.safetensors", folder.path().join("in.safetensors")).unwrap();
        assert!(run(&engine, &[("in", 1.0)]).is_ok());
    }
}

#[test]
fn a_changed_file_is_read_again() {
    let folder = folder();
    let engine = open(&[], Some(folder.path()));
    let path = folder.path().join("kohya.safetensors");
    let (kohya, xlabs) = (picture(&engine, &[("kohya", 1.0)]), picture(&engine, &[("xlabs", 1.0)]));
    assert_ne!(kohya, xlabs);
    fs::write(&path, fs::read(file("xlabs")).unwrap()).unwrap();
    assert_eq!(picture(&engine, &[("kohya", 1.0)]), xlabs);
    fs::write(&path, b"damaged").unwrap();
    assert!(run(&engine, &[("kohya", 1.0)]).is_err());
    assert_eq!(picture(&engine, &[("xlabs", 1.0)]), xlabs);
}
