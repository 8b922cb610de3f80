//! What is written down of a model that this program knows by heart.

use crate::error::HubError;
use crate::repository_name::RepositoryName;
use std::fs;
use std::path::Path;

/// Endings of weights.
pub(crate) const WEIGHTS: [&str; 2] = [".safetensors", ".gguf"];

/// The part that nothing here reads: it tells Python's tools which classes to use.
const INDEX: &str = "index";

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

    /// The parts that have to be there to use it, as far as `is_needed` says so of their names, and are not in `snapshot`.
    pub(crate) fn missing(&self, snapshot: Option<&Path>, is_needed: &dyn Fn(&str) -> bool) -> Vec<&'static str> {
        let needed = self.parts.iter().filter(|part| part.name != INDEX && is_needed(part.name));
        needed.filter(|part| !snapshot.is_some_and(|folder| part.is_in(folder))).map(|part| part.name).collect()
    }

    /// All its files.
    pub fn files(&self) -> impl Iterator<Item = &'static str> {
        self.parts.iter().flat_map(|part| part.files).copied()
    }
}

impl ModelPart {
    /// Whether it is in the folder `snapshot`: all its files, or the same part in files of other names.
    fn is_in(&self, snapshot: &Path) -> bool {
        if self.files.iter().all(|file| snapshot.join(file).is_file()) {
            return true;
        }
        let is_weights = |name: &str| WEIGHTS.iter().any(|ending| name.ends_with(ending));
        let has_weights = self.files.iter().any(|file| is_weights(file));
        let is_one = |name: &str| is_weights(name) || !has_weights;
        // Some lie at the top.
        let folder = self.files.first().and_then(|file| file.rsplit_once('/')).map_or("", |(folder, _)| folder);
        let names = fs::read_dir(snapshot.join(folder)).into_iter().flatten().flatten();
        names.filter(|entry| entry.path().is_file()).any(|entry| is_one(&entry.file_name().to_string_lossy()))
    }
}
