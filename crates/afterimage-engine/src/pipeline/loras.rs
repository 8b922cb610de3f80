//! Which LoRAs a request uses: the engine's own, and those that it names in the operator's folder. Files are kept in
//! memory once they were read.

use super::cache::Cache;
use crate::options::{EngineOptions, LoraFile};
use crate::weights::lora::{LoraPart, LoraWeights, TargetsOf, UsedLora};
use afterimage_core::{Error, Field, LoraChoice, LoraFolder, LoraName, Result};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes of updates that are kept: a dozen of full-size FLUX.1's with rank 16.
const KEPT: u64 = 2 << 30;

/// Bytes of f32 matrices that may be merged. What is merged takes memory of its own where the file was mapped; beyond it
/// updates stay beside the weights, which costs a few percent of a step.
const MERGED: u64 = 4 << 30;

/// A file as it was when it was read: a changed one is another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ReadFile {
    path: PathBuf,
    modified: Option<SystemTime>,
    bytes: u64,
}

/// A file, and how much of it, for keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LoraUse {
    file: ReadFile,
    scale: u64,
}

/// One that is used.
#[derive(Clone)]
struct ChosenLora {
    choice: LoraChoice,
    file: ReadFile,
    used: UsedLora,
}

/// What one request uses, in the order in which it was named, the engine's own first.
#[derive(Clone, Default)]
pub(crate) struct LoraSelection {
    chosen: Vec<ChosenLora>,
}

impl LoraSelection {
    /// What changes one of the networks `parts`.
    pub fn used(&self, parts: &[LoraPart]) -> Vec<UsedLora> {
        self.of(parts).map(|chosen| chosen.used.clone()).collect()
    }

    /// The same for a cache's key.
    pub fn key(&self, parts: &[LoraPart]) -> Vec<LoraUse> {
        let key = |chosen: &ChosenLora| LoraUse { file: chosen.file.clone(), scale: chosen.choice.scale.to_bits() };
        self.of(parts).map(key).collect()
    }

    fn of(&self, parts: &[LoraPart]) -> impl Iterator<Item = &ChosenLora> {
        self.chosen.iter().filter(move |chosen| parts.iter().any(|part| chosen.used.weights.touches(*part)))
    }

    /// For a result's facts.
    pub fn choices(&self) -> Vec<LoraChoice> {
        self.chosen.iter().map(|chosen| chosen.choice.clone()).collect()
    }
}

/// All that an engine can use.
pub(crate) struct LoraLibrary {
    folder: Option<LoraFolder>,
    fixed: LoraSelection,
    read: Cache<ReadFile, LoraWeights>,
}

impl LoraLibrary {
    /// Reads the files that every request uses.
    ///
    /// # Errors
    /// Those of [`LoraWeights::read`].
    pub fn open(options: &EngineOptions, targets: TargetsOf) -> Result<Self> {
        let no_folder = |path: &Path, error| {
            Error::model_file(path, format!("{error}; expected a folder with LoRAs, NAME.safetensors"))
        };
        let open = |path: &PathBuf| LoraFolder::open(path).map_err(|error| no_folder(path, error));
        let folder = options.lora_dir.as_ref().map(open).transpose()?;
        let read = Cache::new(KEPT, |_, weights: &LoraWeights| weights.bytes());
        let mut library = Self { folder, fixed: LoraSelection::default(), read };
        let mut chosen = Vec::new();
        for LoraFile { path, scale } in &options.loras {
            chosen.extend(library.choose(name_of(path), *scale, path, targets)?);
        }
        let changed: u64 = chosen.iter().map(|chosen: &ChosenLora| chosen.used.weights.changed_bytes()).sum();
        for chosen in &mut chosen {
            chosen.used.is_merged = changed <= MERGED;
        }
        library.fixed.chosen = chosen;
        Ok(library)
    }

    /// Bytes of updates that are in memory.
    pub fn held_bytes(&self) -> u64 {
        self.read.bytes()
    }

    /// What every request uses.
    pub fn fixed(&self) -> &LoraSelection {
        &self.fixed
    }

    /// What a request that names `choices` uses.
    ///
    /// # Errors
    /// [`Error::Field`] for a name that is not in the folder, and those of [`LoraWeights::read`].
    pub fn select(&self, choices: &[LoraChoice], targets: TargetsOf) -> Result<LoraSelection> {
        let mut selection = self.fixed.clone();
        for LoraChoice { name, scale } in choices {
            let path = self.resolve(name)?;
            selection.chosen.extend(self.choose(name.clone(), *scale, &path, targets)?);
        }
        Ok(selection)
    }

    /// `None` where nothing would be added.
    fn choose(&self, name: LoraName, scale: f64, path: &Path, targets: TargetsOf) -> Result<Option<ChosenLora>> {
        let about = std::fs::metadata(path).ok();
        let file = ReadFile {
            path: path.to_path_buf(),
            modified: about.as_ref().and_then(|about| about.modified().ok()),
            bytes: about.map_or(0, |about| about.len()),
        };
        let weights = self.read.get_or_make(&file, || LoraWeights::read(path, targets))?.value;
        let used = UsedLora { weights, scale: scale as f32, is_merged: false };
        let is_used = scale.abs() > 0.0;
        Ok(is_used.then_some(ChosenLora { choice: LoraChoice { name, scale }, file, used }))
    }

    /// The file of a name: always one of the folder.
    fn resolve(&self, name: &LoraName) -> Result<PathBuf> {
        let file = match &self.folder {
            Some(folder) => folder.file(name),
            None => Err(format!("`{name}` is not known; this engine has no folder of LoRAs")),
        };
        file.map_err(|problem| Error::field(Field::Loras, problem))
    }
}

/// The name of a file that was named by its path.
fn name_of(path: &Path) -> LoraName {
    LoraName::of_file(&path.file_stem().unwrap_or_default().to_string_lossy())
}
