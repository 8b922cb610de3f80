//! The program against diffusers: it must reproduce the pictures of the parity kit.
//!
//! Each folder of `cases`, `cases-extra` and `cases-inpaint` in `crates/afterimage-engine/tests/parity` holds a `case.json` with a command line, the input, and
//! the pictures that diffusers made in f32 on the CPU. A case passes when every picture has the right size, differs by at
//! most `max_diff` of 255 levels anywhere, and reaches `psnr` dB. Some of them run through the stand-in for a card's driver as
//! well.

use image::RgbImage;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Deserialize)]
struct Case {
    args: Vec<String>,
    expect: Vec<Expected>,
    tolerance: Tolerance,
}

#[derive(Deserialize)]
struct Expected {
    file: String,
    output: String,
}

#[derive(Deserialize)]
struct Tolerance {
    max_diff: u8,
    psnr: f64,
}

/// How far a picture is from the expected one.
struct Difference {
    levels: u8,
    psnr: f64,
}

/// Where a case computes.
#[derive(Clone, Copy)]
enum Machine<'a> {
    /// As its command line says: on the processor.
    Processor,
    /// On the card whose driver lies in a folder.
    Card(&'a Path),
}

/// What a picture by way of a card has to reach, in dB: sums in another order, and nothing else.
const ON_A_CARD: f64 = 45.0;

/// Redux with a prompt, another picture's shape, two pictures of one noise, several pictures that are mixed, a painted part.
#[cfg(target_os = "linux")]
const CARD_CASES: [&str; 5] =
    ["cases/vary-prompt", "cases/img2img", "cases/vary-two", "cases-extra/narrow-mix", "cases-inpaint/inpaint-two"];

fn kit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../afterimage-engine/tests/parity")
}

#[test]
fn pictures_are_those_of_diffusers() {
    let mut folders: Vec<PathBuf> =
        ["cases", "cases-extra", "cases-inpaint"].iter().flat_map(|kind| cases(&kit().join(kind))).collect();
    folders.sort();
    check(&folders, Machine::Processor);
}

#[cfg(target_os = "linux")]
#[test]
fn pictures_by_way_of_a_card_are_those_of_diffusers() {
    let driver = tempfile::tempdir().unwrap();
    afterimage_cuda_standin::install(driver.path(), &[]).unwrap();
    check(&CARD_CASES.map(|case| kit().join(case)), Machine::Card(driver.path()));
}

fn check(folders: &[PathBuf], machine: Machine<'_>) {
    let mut failed = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match run(folder, machine) {
            Ok(text) => println!("PASS {name:20} {text}"),
            Err(text) => {
                println!("FAIL {name:20} {text}");
                failed.push(format!("{name}: {text}"));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), folders.len(), failed.join("\n"));
}

/// The folders of `cases` that hold a case; at least one.
fn cases(cases: &Path) -> Vec<PathBuf> {
    let folders: Vec<PathBuf> = fs::read_dir(cases)
        .unwrap_or_else(|error| panic!("{}: {error}", cases.display()))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.join("case.json").is_file())
        .collect();
    assert!(!folders.is_empty(), "no cases in {}", cases.display());
    folders
}

/// Has a command of the kit compute on a card instead.
fn on_card(command: &mut Command, arguments: &mut [String], driver: &Path) {
    for at in 1..arguments.len() {
        if arguments[at - 1] == "--device" {
            "cuda".clone_into(&mut arguments[at]);
        }
    }
    command
        .env("LD_LIBRARY_PATH", driver)
        // Work happens when somebody waits, as late as it can on a card.
        .env("CUDA_STANDIN", "lazy")
        .env("XDG_CACHE_HOME", driver)
        .env("CUDA_STANDIN_TABLE", concat!(env!("CARGO_MANIFEST_DIR"), "/../afterimage-cuda/kernels/table.json"));
}

/// The figures of a case that passed, or why it did not.
fn run(folder: &Path, machine: Machine<'_>) -> Result<String, String> {
    let text = fs::read_to_string(folder.join("case.json")).map_err(|error| error.to_string())?;
    let case: Case = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let out = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AFTERIMAGE_")) {
        command.env_remove(name);
    }
    // diffusers' numbers; what `auto` takes depends on the processor.
    command.env("AFTERIMAGE_DTYPE", "f32");
    let in_out = |argument: &String| argument.replace("{out}", &out.path().to_string_lossy());
    let mut arguments: Vec<String> = case.args.iter().map(in_out).collect();
    let tolerance = match machine {
        Machine::Processor => case.tolerance,
        Machine::Card(driver) => {
            on_card(&mut command, &mut arguments, driver);
            Tolerance { max_diff: u8::MAX, psnr: ON_A_CARD }
        }
    };
    let output =
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    let mut worst = Difference { levels: 0, psnr: f64::INFINITY };
    for Expected { file, output } in &case.expect {
        let difference = compare(&read(&out.path().join(output))?, &read(&folder.join(file))?)?;
        worst.levels = worst.levels.max(difference.levels);
        worst.psnr = worst.psnr.min(difference.psnr);
    }
    let text = format!("max {} psnr {:.2} dB", worst.levels, worst.psnr);
    if worst.levels <= tolerance.max_diff && worst.psnr >= tolerance.psnr {
        Ok(text)
    } else {
        Err(format!("{text} (allowed: max {}, psnr {} dB)", tolerance.max_diff, tolerance.psnr))
    }
}

fn read(path: &Path) -> Result<RgbImage, String> {
    image::open(path).map(|image| image.to_rgb8()).map_err(|error| format!("{}: {error}", path.display()))
}

fn compare(got: &RgbImage, want: &RgbImage) -> Result<Difference, String> {
    if got.dimensions() != want.dimensions() {
        return Err(format!("is {:?}, expected {:?}", got.dimensions(), want.dimensions()));
    }
    let differences = got.as_raw().iter().zip(want.as_raw()).map(|(got, want)| got.abs_diff(*want));
    let (levels, squares) = differences.fold((0, 0.0), |(levels, squares), difference| {
        (difference.max(levels), squares + f64::from(difference).powi(2))
    });
    let mean_square = squares / want.as_raw().len() as f64;
    Ok(Difference { levels, psnr: 10.0 * (255.0 * 255.0 / mean_square).log10() })
}
