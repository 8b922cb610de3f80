//! The interface between a layout's names and the source that reads them.

/// Which rows of a stored tensor belong to the canonical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    All,
    FirstHalf,
    SecondHalf,
}

/// One block of rows of a canonical tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorPart {
    /// Name in the file, without the file's prefix.
    pub(super) name: String,
    /// Share of the canonical tensor's rows, relative to the other parts' shares.
    pub(super) share: usize,
    /// Which rows of the stored tensor.
    pub(super) take: Take,
}

impl TensorPart {
    pub(super) fn all(name: impl Into<String>) -> Self {
        Self::share(name, 1)
    }

    pub(super) fn share(name: impl Into<String>, share: usize) -> Self {
        Self { name: name.into(), share, take: Take::All }
    }

    pub(super) fn half(name: impl Into<String>, take: Take) -> Self {
        Self { name: name.into(), share: 1, take }
    }
}

/// From a canonical name to the names of a layout.
pub(super) trait Naming: Send + Sync {
    /// The blocks of rows that make up the canonical tensor `name`, top to bottom. A name that is not part of the model
    /// comes back as it is.
    fn parts(&self, name: &str) -> Vec<TensorPart>;
}

/// The layout whose names are the canonical ones.
pub(super) struct Canonical;

impl Naming for Canonical {
    fn parts(&self, name: &str) -> Vec<TensorPart> {
        vec![TensorPart::all(name)]
    }
}
