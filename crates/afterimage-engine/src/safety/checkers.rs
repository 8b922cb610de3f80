//! All checkers of an engine, and what they say together.

use super::files::FileChecker;
use super::open_nsfw::{self, OpenNsfwChecker};
use super::options::{CheckerChoice, SafetyOptions};
use afterimage_core::{Error, Picture, Result};
use afterimage_device::Device;
use once_cell::sync::OnceCell;
use std::sync::Arc;

/// All checkers of an engine on one device.
pub(crate) struct SafetyCheckers<D: Device> {
    device: Arc<D>,
    /// See [`SafetyOptions::threshold`].
    threshold: f64,
    checkers: Vec<NamedChecker<D>>,
}

struct NamedChecker<D: Device> {
    name: String,
    checker: Checker<D>,
}

enum Checker<D: Device> {
    /// Built when it first looks.
    Builtin(OnceCell<OpenNsfwChecker<D>>),
    Files(Box<FileChecker<D>>),
}

/// What all checkers say of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether any of them objects.
    pub flagged: bool,
    /// What each of them says, in their order; their meaning is that of [`afterimage_core::SafetyFacts::scores`].
    pub scores: Vec<f64>,
}

/// The checkers of an engine, whatever they run on.
pub(crate) trait Checkers: Send + Sync {
    /// A name of each checker for people, each once: `open_nsfw`, or the kind with the name of the file or folder that it
    /// comes from, such as `falconsai (nsfw_image_detection)`. Without the folders above it, since it leaves the machine.
    fn names(&self) -> Vec<String>;

    /// What every checker says of `picture`, which may have any size. `interrupted` is asked between their layers.
    ///
    /// # Errors
    /// [`Error::SafetyChecker`] for a score that is no number, what `interrupted` answers, and those of the device.
    fn check(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<Verdict>;
}

impl<D: Device> SafetyCheckers<D> {
    /// Opens what `options` name. Files are read and checked now; the embedded checker is built when it first looks.
    ///
    /// # Errors
    /// [`Error::ModelFile`] or [`Error::Tensor`] for a file that is no checker or damaged, and those of the device.
    pub fn open(device: &Arc<D>, options: &SafetyOptions) -> Result<Self> {
        let mut checkers: Vec<NamedChecker<D>> = Vec::new();
        for choice in &options.checkers {
            let (name, checker) = match choice {
                CheckerChoice::Builtin => (open_nsfw::NAME.to_owned(), Checker::Builtin(OnceCell::new())),
                CheckerChoice::Path(path) => {
                    let checker = FileChecker::open(device, path)?;
                    (checker.name(path), Checker::Files(Box::new(checker)))
                }
            };
            let is_taken = |name: &str| checkers.iter().any(|known| known.name == name);
            let mut unique = name.clone();
            let mut number = 1;
            while is_taken(&unique) {
                number += 1;
                unique = format!("{name} #{number}");
            }
            checkers.push(NamedChecker { name: unique, checker });
        }
        Ok(Self { device: Arc::clone(device), threshold: options.threshold, checkers })
    }

    /// Whether there is no checker.
    pub fn is_empty(&self) -> bool {
        self.checkers.is_empty()
    }
}

impl<D: Device> Checkers for SafetyCheckers<D> {
    fn names(&self) -> Vec<String> {
        self.checkers.iter().map(|checker| checker.name.clone()).collect()
    }

    fn check(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<Verdict> {
        // 0 flags everything, whatever a checker says: the way to try what follows.
        let mut verdict = Verdict { flagged: self.threshold <= 0.0 && !self.is_empty(), scores: Vec::new() };
        for NamedChecker { name, checker } in &self.checkers {
            interrupted()?;
            let score = checker.score(&self.device, picture, interrupted)?;
            if !score.is_finite() {
                let problem = format!("{name} made {score} in place of a score; its weights are damaged");
                return Err(Error::SafetyChecker { problem });
            }
            verdict.flagged |= checker.objects(score, self.threshold);
            verdict.scores.push(score);
        }
        Ok(verdict)
    }
}

impl<D: Device> Checker<D> {
    fn score(&self, device: &Arc<D>, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<f64> {
        match self {
            Self::Builtin(built) => {
                built.get_or_try_init(|| OpenNsfwChecker::embedded(device))?.score(picture, interrupted)
            }
            Self::Files(checker) => checker.score(picture, interrupted),
        }
    }

    /// Whether a picture of this score is flagged.
    fn objects(&self, score: f64, threshold: f64) -> bool {
        match self {
            Self::Builtin(_) => score >= threshold,
            Self::Files(checker) => checker.objects(score, threshold),
        }
    }
}
