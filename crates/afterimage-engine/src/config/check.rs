//! Checks that every configuration needs; each error names file and field.

use afterimage_core::{Error, Result};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

/// The fields of one file.
pub(crate) struct Check<'a> {
    path: &'a Path,
}

impl<'a> Check<'a> {
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

    /// A switch that is only supported in its off position.
    pub(crate) fn off(&self, field: &str, value: bool) -> Result<()> {
        if value { Err(self.refuse(field, "true is not supported; expected false")) } else { Ok(()) }
    }
}
