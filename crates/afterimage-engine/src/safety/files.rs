//! From a path to the checker that it holds.

use super::compvis::CompVisChecker;
use super::finite;
use super::open_nsfw::{self, OpenNsfwChecker};
use super::vit::VitChecker;
use crate::bundle::{Bundle, last_name};
use crate::config::check::ConfigCheck;
use crate::weights::Component;
use crate::weights::layout::{self, CheckerKind};
use afterimage_core::{Error, Picture, Result};
use afterimage_device::Device;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// A checker that was loaded from files.
pub(super) enum FileChecker<D: Device> {
    OpenNsfw(OpenNsfwChecker<D>),
    Vit(VitChecker<D>),
    CompVis(CompVisChecker<D>),
}

impl<D: Device> FileChecker<D> {
    /// Opens the folder `path` in transformers' layout, or the weights file `path`, beside which such a folder's other
    /// files are. What it is, its tensors tell.
    /// With it the bytes of its files.
    pub fn open(device: &Arc<D>, path: &Path) -> Result<(Self, u64)> {
        let (folder, component) = if path.is_dir() {
            let folder = Bundle::open(path)?;
            no_pipeline(&folder)?;
            model_type(&folder)?;
            let component = Component::open(&folder)?;
            (folder, component)
        } else {
            let component = Component::open_file(path)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            (Bundle::open(parent.unwrap_or(Path::new(".")))?, component)
        };
        let (kind, source) = layout::checker(Arc::new(component))?;
        let expected = match kind {
            CheckerKind::OpenNsfw => None,
            CheckerKind::Vit => Some(VIT),
            CheckerKind::CompVis => Some(CLIP),
        };
        if let Some(expected) = expected {
            fits(&folder, expected)?;
        }
        finite::check(source.component())?;
        let bytes = source.component().files().iter().map(|file| file.file_bytes() as u64).sum();
        let checker = match kind {
            CheckerKind::OpenNsfw => Self::OpenNsfw(OpenNsfwChecker::load(device, source)?),
            CheckerKind::Vit => Self::Vit(VitChecker::load(device, &folder, source)?),
            CheckerKind::CompVis => Self::CompVis(CompVisChecker::load(device, &folder, source)?),
        };
        Ok((checker, bytes))
    }

    /// Its kind and the name of the file or folder it came from.
    pub fn name(&self, path: &Path) -> String {
        let kind = match self {
            Self::OpenNsfw(_) => open_nsfw::NAME,
            Self::Vit(_) => "falconsai",
            Self::CompVis(_) => "compvis",
        };
        // Most files are called model.safetensors; their folder says more.
        let path = match (path.file_stem(), path.parent()) {
            (Some(stem), Some(parent)) if stem == "model" && path.is_file() => parent,
            _ => path,
        };
        format!("{kind} ({})", last_name(path))
    }

    /// What it says of a picture.
    pub fn score(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<f64> {
        match self {
            Self::OpenNsfw(checker) => checker.score(picture, interrupted),
            Self::Vit(checker) => checker.score(picture, interrupted),
            Self::CompVis(checker) => checker.score(picture, interrupted),
        }
    }

    /// Whether a picture of this score is flagged.
    pub fn objects(&self, score: f64, threshold: f64) -> bool {
        match self {
            Self::OpenNsfw(_) | Self::Vit(_) => score >= threshold,
            // Its thresholds are among its weights; scores count from them.
            Self::CompVis(_) => score > 0.0,
        }
    }
}

/// What transformers calls the architectures that are known.
const VIT: &str = "vit";
const CLIP: &str = "clip";

#[derive(Deserialize)]
struct DeclaredType {
    #[serde(default)]
    model_type: Option<String>,
}

/// Refuses the folder of a whole pipeline, such as FLUX.1's: it has components, and is none.
fn no_pipeline(folder: &Bundle) -> Result<()> {
    if folder.has("model_index.json") && !folder.has("config.json") {
        let problem = "holds a pipeline (model_index.json), not a safety checker; expected config.json, \
             preprocessor_config.json and model.safetensors in it";
        return Err(Error::model_file(folder.path(""), problem));
    }
    Ok(())
}

/// What `config.json` of `folder` says the folder holds, if there is such a file and it says so. Refused before the weights
/// are opened: its words are clearer than theirs.
fn model_type(folder: &Bundle) -> Result<Option<String>> {
    let name = "config.json";
    if !folder.has(name) {
        return Ok(None);
    }
    let DeclaredType { model_type } = folder.json(name)?;
    match model_type.as_deref() {
        None | Some(VIT | CLIP) => Ok(model_type),
        Some(other) => {
            let problem = format!("{other} is no safety checker; expected {VIT} (Falconsai) or {CLIP} (CompVis)");
            Err(ConfigCheck::new(&folder.path(name)).refuse("model_type", problem))
        }
    }
}

/// Refuses a configuration of another model than the weights are of.
fn fits(folder: &Bundle, expected: &str) -> Result<()> {
    match model_type(folder)? {
        Some(found) if found != expected => Err(ConfigCheck::new(&folder.path("config.json"))
            .refuse("model_type", format!("{found} contradicts the weights; expected {expected}"))),
        _ => Ok(()),
    }
}
