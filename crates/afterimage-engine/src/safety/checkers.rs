//! All checkers of an engine, and what they say together.

use super::files::FileChecker;
use super::open_nsfw::{self, OpenNsfwChecker};
use super::options::{CheckerChoice, SafetyOptions};
use afterimage_core::{Error, Picture, Result};
use afterimage_device::Device;
use once_cell::sync::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// All checkers of an engine on one device.
pub(crate) struct SafetyCheckers<D: Device> {
    device: Arc<D>,
    /// See [`SafetyOptions::threshold`].
    threshold: f64,
    checkers: Vec<NamedChecker<D>>,
}

/// What the embedded checker takes, weights and buffers: 48 MB was seen.
const BUILTIN_BYTES: u64 = 64 << 20;

struct NamedChecker<D: Device> {
    name: String,
    bytes: u64,
    checker: Checker<D>,
}

enum Checker<D: Device> {
    /// Built when it first looks.
    Builtin(OnceCell<OpenNsfwChecker<D>>),
    Files(Box<FileChecker<D>>),
}

/// What all checkers say of one picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// `true` when any of them objects, whether or not the others could look; `false` when all looked and none does; `None`
    /// when one could not look and none of the others objects.
    pub flagged: Option<bool>,
    /// What each of them says, in their order; their meaning is that of [`afterimage_core::SafetyFacts::scores`]. Empty when
    /// one could not look.
    pub scores: Vec<f64>,
    /// Why the first of those that could not look could not.
    pub failure: Option<String>,
}

impl Verdict {
    /// What `answers` come to: for each checker whether it objects with its score, or why it could not look. `flags_all`
    /// flags the picture whatever they say.
    pub(super) fn of(answers: Vec<Result<(bool, f64), String>>, flags_all: bool) -> Self {
        let objects = flags_all || answers.iter().any(|answer| matches!(answer, Ok((true, _))));
        match answers.into_iter().collect::<Result<Vec<_>, _>>() {
            // Nobody looked.
            Ok(answers) if answers.is_empty() => Self::default(),
            Ok(answers) => {
                let scores = answers.into_iter().map(|(_, score)| score).collect();
                Self { flagged: Some(objects), scores, failure: None }
            }
            Err(problem) => Self { flagged: objects.then_some(true), scores: Vec::new(), failure: Some(problem) },
        }
    }
}

/// The answer of one checker, or why it could not look. One that panics is one that could not look.
///
/// # Errors
/// [`Error::Cancelled`], and [`Error::DeviceLost`], which ends the process.
pub(super) fn asked<T>(look: impl FnOnce() -> Result<T>) -> Result<Result<T, String>> {
    match catch_unwind(AssertUnwindSafe(look)) {
        Ok(Ok(answer)) => Ok(Ok(answer)),
        Ok(Err(error @ (Error::Cancelled | Error::DeviceLost { .. }))) => Err(error),
        Ok(Err(Error::SafetyChecker { problem })) => Ok(Err(problem)),
        Ok(Err(error)) => Ok(Err(error.to_string())),
        Err(_) => Ok(Err("it crashed".to_owned())),
    }
}

/// The checkers of an engine, whatever they run on.
pub(crate) trait Checkers: Send + Sync {
    /// A name of each checker for people, each once: `open_nsfw`, or the kind with the name of the file or folder that it
    /// comes from, such as `falconsai (nsfw_image_detection)`. Without the folders above it, since it leaves the machine.
    fn names(&self) -> Vec<String>;

    /// Bytes of memory that they take.
    fn bytes(&self) -> u64 {
        0
    }

    /// What every checker says of `picture`, which may have any size. `interrupted` is asked between their layers.
    ///
    /// A checker that cannot look keeps no other from looking.
    ///
    /// # Errors
    /// [`Error::Cancelled`], by `interrupted`.
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
            let (name, bytes, checker) = match choice {
                CheckerChoice::Builtin => {
                    (open_nsfw::NAME.to_owned(), BUILTIN_BYTES, Checker::Builtin(OnceCell::new()))
                }
                CheckerChoice::Path(path) => {
                    let (checker, bytes) = FileChecker::open(device, path)?;
                    (checker.name(path), bytes, Checker::Files(Box::new(checker)))
                }
            };
            let is_taken = |name: &str| checkers.iter().any(|known| known.name == name);
            let mut unique = name.clone();
            let mut number = 1;
            while is_taken(&unique) {
                number += 1;
                unique = format!("{name} #{number}");
            }
            checkers.push(NamedChecker { name: unique, bytes, checker });
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

    fn bytes(&self) -> u64 {
        self.checkers.iter().map(|checker| checker.bytes).sum()
    }

    fn check(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<Verdict> {
        let mut answers = Vec::new();
        for NamedChecker { name, checker, .. } in &self.checkers {
            answers.push(asked(|| {
                interrupted()?;
                let score = checker.score(&self.device, picture, interrupted)?;
                if !score.is_finite() {
                    let problem = format!("{name} made {score} in place of a score; its weights are damaged");
                    return Err(Error::SafetyChecker { problem });
                }
                Ok((checker.objects(score, self.threshold), score))
            })?);
        }
        // 0 flags everything, whatever a checker says: the way to try what follows.
        Ok(Verdict::of(answers, self.threshold <= 0.0 && !self.is_empty()))
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
