//! What is written down of a model that this program knows by heart.

use crate::error::HubError;
use crate::repository_name::RepositoryName;

/// A model with a short name, and the files of its repository that it needs.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownModel {
    /// Its short name.
    pub name: &'static str,
    /// `OWNER/NAME`.
    pub repository: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its terms in one sentence.
    pub terms: &'static str,
    /// Its files by what they are for.
    pub parts: &'static [ModelPart],
    /// What it is used as.
    pub role: ModelRole,
}

/// A part of a model, such as `transformer`.
#[derive(Debug, PartialEq, Eq)]
pub struct ModelPart {
    /// What `--only` calls it.
    pub name: &'static str,
    /// Its files by their paths in the repository.
    pub files: &'static [&'static str],
}

/// What a model is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelRole {
    /// A whole FLUX model: a base.
    Base,
    /// What `vary` needs beside a base.
    Redux,
    /// A transformer alone, in place of that of `base`.
    Transformer {
        /// The weights.
        file: &'static str,
        /// The short name of what everything else comes from.
        base: &'static str,
    },
    /// A safety checker.
    Checker,
}

impl KnownModel {
    /// The repository it is in.
    ///
    /// # Errors
    /// None for those of the catalogue, which a test asserts.
    pub fn repository_name(&self) -> Result<RepositoryName, HubError> {
        self.repository.parse()
    }

    /// All its files.
    pub fn files(&self) -> impl Iterator<Item = &'static str> {
        self.parts.iter().flat_map(|part| part.files).copied()
    }
}
