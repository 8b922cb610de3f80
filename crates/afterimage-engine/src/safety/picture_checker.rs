//! Safety checkers for those who have pictures and no engine.

use super::checkers::{Checkers, SafetyCheckers, Verdict};
use super::options::SafetyOptions;
use crate::devices::{OnDevice, on_device};
use crate::options::{DeviceChoice, DtypeChoice};
use afterimage_core::{Picture, Result};
use afterimage_device::Device;
use std::sync::Arc;

/// Checkers on some device.
pub struct StandaloneChecker(Box<dyn Checkers>);

impl StandaloneChecker {
    /// Opens the checkers that `options` name, on the device that `device` means.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] or [`afterimage_core::Error::Tensor`] for a file that is no checker or damaged,
    /// [`afterimage_core::Error::Device`].
    pub fn open(device: DeviceChoice, options: &SafetyOptions) -> Result<Self> {
        on_device(device, DtypeChoice::F32, &OpenCheckers(options)).map(Self)
    }

    /// A name of each checker for people, in the order of the options: `open_nsfw`.
    pub fn names(&self) -> Vec<String> {
        self.0.names()
    }

    /// What every checker says of `picture`, which may have any size. `interrupted` is asked between their layers.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Cancelled`], by `interrupted`.
    pub fn check(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<Verdict> {
        self.0.check(picture, interrupted)
    }
}

struct OpenCheckers<'a>(&'a SafetyOptions);

impl OnDevice for OpenCheckers<'_> {
    type Output = Box<dyn Checkers>;

    fn run<D: Device>(&self, device: Arc<D>) -> Result<Box<dyn Checkers>> {
        Ok(Box::new(SafetyCheckers::open(&device, self.0)?))
    }
}
