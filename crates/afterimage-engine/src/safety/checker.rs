//! What the stage asks of whoever looks at pictures.

use afterimage_core::{Picture, Result};

/// What checkers say of one picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// Whether any of them objects to it.
    pub flagged: bool,
    /// One score for each checker, in order; see [`afterimage_core::SafetyFacts::scores`].
    pub scores: Vec<f64>,
}

/// The checkers of an engine, at least one.
pub(crate) trait Checkers: Send + Sync {
    /// Their names, for people.
    fn names(&self) -> Vec<String>;

    /// What they say of `picture`, which may have any size. `interrupted` is asked on the way.
    ///
    /// # Errors
    /// Those of `interrupted`; [`afterimage_core::Error::SafetyChecker`] for a score that is no number, and those of the device.
    fn check(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<Verdict>;
}
