//! The checkers against the cases of `tests/safety`, and against files that cannot be used.

mod files;
mod parity;

use super::checkers::{Checkers, SafetyCheckers, Verdict};
use super::options::{CheckerChoice, SafetyOptions};
use afterimage_core::{Error, Picture, PictureLimits, Result};
use afterimage_device::Device;
use afterimage_imaging::read_file;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/safety")
}

fn tiny(name: &str) -> PathBuf {
    root().join("tiny").join(name)
}

fn picture(path: &Path) -> Picture {
    read_file(path, &PictureLimits::default()).unwrap().picture
}

fn options(checkers: Vec<CheckerChoice>) -> SafetyOptions {
    SafetyOptions { checkers, ..SafetyOptions::default() }
}

fn builtin<D: Device>(device: D) -> SafetyCheckers<D> {
    SafetyCheckers::open(&Arc::new(device), &options(vec![CheckerChoice::Builtin])).unwrap()
}

fn open<D: Device>(device: D, path: &Path) -> Result<SafetyCheckers<D>> {
    SafetyCheckers::open(&Arc::new(device), &options(vec![CheckerChoice::Path(path.to_path_buf())]))
}

/// What checkers say that could all look.
#[derive(Debug, PartialEq)]
struct Seen {
    flagged: bool,
    scores: Vec<f64>,
}

fn check<D: Device>(checkers: &SafetyCheckers<D>, picture: &Picture) -> Result<Seen> {
    let Verdict { flagged, scores, failure } = checkers.check(picture, &|| Ok(()))?;
    match failure {
        Some(problem) => Err(Error::SafetyChecker { problem }),
        None => Ok(Seen { flagged: flagged == Some(true), scores }),
    }
}
