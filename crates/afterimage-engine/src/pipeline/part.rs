//! Where the weights and the configuration of one network come from.

use crate::bundle::Bundle;
use crate::weights::{Component, LayoutSource};
use afterimage_core::{Error, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One network of a model.
pub(super) struct Part<'a> {
    /// Its folder in the model, which need not exist.
    pub folder: Bundle,
    /// What a configuration of it says of itself, in `model_type` or `_class_name`.
    pub types: &'static [&'static str],
    /// The weights that replace the folder's.
    pub named: Option<&'a Path>,
    /// A file that may hold this network among others, for where the folder has no weights.
    pub checkpoint: Option<&'a Path>,
}

impl Part<'_> {
    /// Opens the weights in whichever layout they have.
    ///
    /// # Errors
    /// [`Error::ModelFile`] or [`Error::Tensor`] when they are missing, damaged or of something else.
    pub fn open(&self, layout: fn(Arc<Component>) -> Result<LayoutSource>) -> Result<LayoutSource> {
        if let Some(path) = self.named {
            return layout(Arc::new(Component::open_path(path)?));
        }
        if let Some(path) = self.checkpoint.filter(|_| !Component::is_in(&self.folder)) {
            // What is said is that the folder has none, which is the usual way.
            if let Ok(source) = layout(Arc::new(Component::open_path(path)?)) {
                return Ok(source);
            }
        }
        layout(Arc::new(Component::open(&self.folder)?))
    }

    /// The configuration: that of the folder, else one beside the weights, else what `published` makes of their shapes.
    /// With it the file, for messages.
    ///
    /// # Errors
    /// [`Error::ModelFile`] for a configuration that cannot be used, or when there is none and shapes do not tell.
    pub fn config<C>(
        &self,
        read: fn(&Bundle) -> Result<C>,
        layout: fn(Arc<Component>) -> Result<LayoutSource>,
        published: fn(&LayoutSource) -> Option<C>,
    ) -> Result<(C, PathBuf)> {
        let beside =
            || self.named.and_then(beside).filter(|folder| folder.has(CONFIG) && self.is_configured_by(folder));
        let own = self.folder.has(CONFIG).then(|| self.folder.clone());
        let single = self.named.is_some() || self.checkpoint.is_some() && !Component::is_in(&self.folder);
        match own.or_else(beside) {
            Some(folder) => Ok((read(&folder)?, folder.path(CONFIG))),
            None if single => {
                let source = self.open(layout)?;
                let path = source.component().path().to_path_buf();
                let missing = "its shapes do not tell all of its sizes; expected a config.json beside it";
                let config = published(&source).ok_or_else(|| Error::model_file(&path, missing))?;
                Ok((config, path))
            }
            // Says what is missing.
            None => Ok((read(&self.folder)?, self.folder.path(CONFIG))),
        }
    }

    /// Whether the configuration in `folder` is of this network: files of several may lie in one folder. One that does not
    /// say what it is of is taken for it.
    fn is_configured_by(&self, folder: &Bundle) -> bool {
        #[derive(Deserialize)]
        struct ConfiguredType {
            model_type: Option<String>,
            #[serde(rename = "_class_name")]
            class_name: Option<String>,
        }
        // One that cannot be read is refused by whoever reads it.
        let Ok(ConfiguredType { model_type, class_name }) = folder.json(CONFIG) else { return true };
        let said = [model_type, class_name];
        let mut said = said.iter().flatten().peekable();
        said.peek().is_none() || said.any(|name| self.types.contains(&name.as_str()))
    }

    /// Where it comes from, for messages.
    pub fn path(&self) -> PathBuf {
        self.named.map_or_else(|| self.folder.path(""), Path::to_path_buf)
    }
}

/// A configuration's name.
const CONFIG: &str = "config.json";

/// The folder of a file, or the folder itself.
pub(super) fn beside(path: &Path) -> Option<Bundle> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    Bundle::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_taken_by_the_network_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = Bundle::open(folder.path()).unwrap();
        let part = Part { folder: bundle.clone(), types: &["ReduxImageEncoder"], named: None, checkpoint: None };
        for (text, is_taken) in [
            (r#"{"model_type": "siglip_vision_model"}"#, false),
            (r#"{"_class_name": "ReduxImageEncoder"}"#, true),
            (r#"{"_class_name": "AutoencoderKL", "redux_dim": 4}"#, false),
            (r#"{"redux_dim": 4}"#, true),
            ("{", true),
        ] {
            std::fs::write(folder.path().join(CONFIG), text).unwrap();
            assert_eq!(part.is_configured_by(&bundle), is_taken, "{text}");
        }
    }
}
