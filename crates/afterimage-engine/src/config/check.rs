//! Checks that every configuration needs; each error names file and field.

use crate::bundle::Bundle;
use afterimage_core::{Error, Result};
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

/// Reads the configuration `file` of the folder `folder` and checks it with `validate`, which gets the path for its
/// messages.
///
/// # Errors
/// [`Error::ModelFile`] naming the field that cannot be used and what would be right.
pub(crate) fn read_checked<C: DeserializeOwned>(
    folder: &Bundle,
    file: &str,
    validate: impl FnOnce(&C, &Path) -> Result<()>,
) -> Result<C> {
    let config: C = folder.json(file)?;
    validate(&config, &folder.path(file))?;
    Ok(config)
}

/// The fields of one file.
pub(crate) struct ConfigCheck<'a> {
    path: &'a Path,
}

impl<'a> ConfigCheck<'a> {
    pub(crate) fn new(path: &'a Path) -> Self {
        Self { path }
    }

    /// The error for a field.
    pub(crate) fn refuse(&self, field: &str, problem: impl Display) -> Error {
        Error::model_file(self.path, format!("{field}: {problem}"))
    }

    /// A field whose value must be `expected`, when it is there.
    pub(crate) fn class(&self, found: Option<&str>, expected: &str) -> Result<()> {
        match found {
            Some(found) if found != expected => {
                Err(self.refuse("_class_name", format!("{found} is not supported; expected {expected}")))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn range(&self, field: &str, value: usize, range: &RangeInclusive<usize>) -> Result<()> {
        if range.contains(&value) {
            return Ok(());
        }
        let (start, end) = (range.start(), range.end());
        if start == end {
            Err(self.refuse(field, format!("{value} is not supported; expected {start}")))
        } else {
            Err(self.refuse(field, format!("{value} is out of range; expected {start} to {end}")))
        }
    }

    /// A number that stays one as f32, in which models compute.
    pub(crate) fn finite(&self, field: &str, value: f64) -> Result<()> {
        if (value as f32).is_finite() {
            return Ok(());
        }
        Err(self.refuse(field, format!("{value} is out of range; expected a number of single precision")))
    }

    pub(crate) fn positive(&self, field: &str, value: f64) -> Result<()> {
        if (value as f32).is_finite() && value as f32 > 0.0 {
            Ok(())
        } else {
            Err(self.refuse(field, format!("{value} is out of range; expected a number above 0 of single precision")))
        }
    }

    /// Sizes of an encoder as transformers' CLIP and SigLIP configurations name them.
    pub(crate) fn encoder(&self, hidden: usize, intermediate: usize, layers: usize, heads: usize) -> Result<()> {
        self.range("hidden_size", hidden, &(1..=65_536))?;
        self.range("intermediate_size", intermediate, &(1..=262_144))?;
        self.range("num_hidden_layers", layers, &(1..=1024))?;
        self.range("num_attention_heads", heads, &(1..=hidden))?;
        if hidden.is_multiple_of(heads) {
            return Ok(());
        }
        Err(self.refuse("num_attention_heads", format!("{heads} does not divide hidden_size {hidden}")))
    }

    /// Sizes of a picture that is cut into square patches.
    pub(crate) fn patches(&self, channels: usize, image_size: usize, patch_size: usize) -> Result<()> {
        self.range("num_channels", channels, &(3..=3))?;
        self.range("image_size", image_size, &(1..=4096))?;
        self.range("patch_size", patch_size, &(1..=image_size))
    }

    /// A switch that is only supported in its on position.
    pub(crate) fn on(&self, field: &str, value: bool) -> Result<()> {
        if value { Ok(()) } else { Err(self.refuse(field, "false is not supported; expected true")) }
    }

    /// A switch that is only supported in its off position.
    pub(crate) fn off(&self, field: &str, value: bool) -> Result<()> {
        if value { Err(self.refuse(field, "true is not supported; expected false")) } else { Ok(()) }
    }
}
