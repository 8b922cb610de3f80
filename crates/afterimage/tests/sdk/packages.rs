//! The SDKs, installed once into the target folder by pip and npm.

use crate::process::run;
use crate::repository;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set where a missing tool is a failure.
const REQUIRED: &str = "AFTERIMAGE_REQUIRE_SDKS";

/// The folder `name` for packages, locked for as long as the returned file lives: tests run side by side.
pub fn folder(name: &str) -> (PathBuf, File) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    (folder, lock)
}

/// `outcome`, or, where that is allowed, a line that tells why the test is skipped.
pub fn unless_missing<T>(outcome: Result<T, String>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(reason) if std::env::var_os(REQUIRED).is_some() => panic!("{REQUIRED} is set, but {reason}"),
        Err(reason) => {
            // Not `eprintln!`, which the test runner swallows when a test passes.
            let name = std::thread::current().name().unwrap_or("test").to_owned();
            io::stderr().write_all(format!("SKIPPED {name}: {reason}\n").as_bytes()).unwrap();
            None
        }
    }
}

/// Whether `program` is there and answers `arguments`.
///
/// # Errors
/// What is missing.
pub fn present(program: &str, arguments: &[&str]) -> Result<(), String> {
    install_step(Command::new(program).args(arguments)).map_err(|reason| format!("{program} is missing: {reason}"))
}

/// Python with the SDKs that `tests/sdk/python` pins.
pub struct Python {
    /// The interpreter, which has the current SDK.
    pub interpreter: PathBuf,
    /// A folder for `PYTHONPATH` that has the old SDK.
    pub old_sdk: PathBuf,
}

/// Installs both SDKs, unless that was done before.
///
/// # Errors
/// What is missing.
pub fn python() -> Result<Python, String> {
    present("python3", &["-c", "import ensurepip, venv"])?;
    let sources = repository().join("tests/sdk/python");
    let (folder, _lock) = folder("sdk-python");
    let (environment, old_sdk) = (folder.join("venv"), folder.join("wavespeed-1.0.8"));
    let interpreter = environment.join("bin/python");
    install(&folder, &[&sources.join("requirements.txt"), &sources.join("requirements-1.0.8.txt")], |files| {
        install_step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        let pip = || {
            let mut command = Command::new(&interpreter);
            command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
            command
        };
        install_step(pip().arg("--requirement").arg(files[0]))?;
        install_step(
            pip().args(["--no-deps", "--upgrade", "--target"]).arg(&old_sdk).arg("--requirement").arg(files[1]),
        )
    })?;
    Ok(Python { interpreter, old_sdk })
}

/// Python with OpenAI's SDK, in an environment of its own: what the two services' SDKs need does not have to agree.
///
/// # Errors
/// What is missing.
pub fn python_openai() -> Result<PathBuf, String> {
    present("python3", &["-c", "import ensurepip, venv"])?;
    let (folder, _lock) = folder("sdk-python-openai");
    let environment = folder.join("venv");
    let interpreter = environment.join("bin/python");
    let requirements = repository().join("tests/sdk/python/requirements-openai.txt");
    install(&folder, &[&requirements], |_| {
        install_step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        install_step(
            Command::new(&interpreter)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"])
                .arg("--requirement")
                .arg(&requirements),
        )
    })?;
    Ok(interpreter)
}

/// A folder with the scripts of `tests/sdk/javascript` beside the SDK that they pin.
///
/// # Errors
/// What is missing.
pub fn javascript() -> Result<PathBuf, String> {
    present("node", &["--version"])?;
    present("npm", &["--version"])?;
    let sources = repository().join("tests/sdk/javascript");
    let (folder, _lock) = folder("sdk-javascript");
    // Node looks for packages beside the script, and nothing is to be installed into the sources.
    for entry in fs::read_dir(&sources).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    install(&folder, &[&sources.join("package-lock.json")], |_| {
        install_step(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder))
    })?;
    Ok(folder)
}

/// Runs `work` with the lock files unless it succeeded on the same ones before.
fn install(
    folder: &Path,
    lock_files: &[&Path],
    work: impl FnOnce(&[&Path]) -> Result<(), String>,
) -> Result<(), String> {
    let wanted: String = lock_files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let installed = folder.join("installed");
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    work(lock_files)?;
    fs::write(&installed, wanted).unwrap();
    Ok(())
}

fn install_step(command: &mut Command) -> Result<(), String> {
    let outcome = run(command).map_err(|error| format!("{command:?}: {error}"))?;
    if outcome.status.success() { Ok(()) } else { Err(format!("{command:?} failed:\n{}", outcome.output)) }
}
