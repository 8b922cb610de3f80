//! A pipeline whose device is hidden: what an engine holds.

use super::generate::generate;
use super::model_files::ModelFiles;
use super::networks::Networks;
use super::order::Order;
use crate::devices::{OnDevice, on_device};
use crate::generation::Generation;
use crate::memory::MemoryPlan;
use crate::options::EngineOptions;
use crate::safety;
use afterimage_core::{ModelFacts, Result};
use afterimage_device::Device;
use std::sync::Arc;

/// One base and Redux pair on some device.
pub(crate) trait Pipeline: Send + Sync {
    /// What it runs.
    fn facts(&self) -> ModelFacts;

    /// What a picture of the native size in 28 steps takes of memory.
    ///
    /// # Errors
    /// When there is not as much.
    fn memory(&self) -> Result<MemoryPlan>;

    /// Runs a request.
    ///
    /// # Errors
    /// Those of [`generate`].
    fn generate(&self, order: &Order) -> Result<Generation>;
}

impl<D: Device> Pipeline for Networks<D> {
    fn facts(&self) -> ModelFacts {
        self.facts()
    }

    fn memory(&self) -> Result<MemoryPlan> {
        self.native_memory_plan()
    }

    fn generate(&self, order: &Order) -> Result<Generation> {
        generate(self, order)
    }
}

/// Opens the models that `options` name, on the device that they name.
///
/// # Errors
/// [`afterimage_core::Error::Device`], and those of [`ModelFiles::open`].
pub(crate) fn open(options: &EngineOptions) -> Result<Box<dyn Pipeline>> {
    on_device(options.device, options.dtype, &Open(options))
}

struct Open<'a>(&'a EngineOptions);

impl OnDevice for Open<'_> {
    type Output = Box<dyn Pipeline>;

    fn run<D: Device>(&self, device: Arc<D>) -> Result<Box<dyn Pipeline>> {
        let files = ModelFiles::open(self.0)?;
        let safety = safety::open(&device, &self.0.safety)?;
        let networks = Networks::new(device, files, safety)?;
        networks.check_memory()?;
        Ok(Box::new(networks))
    }
}
