//! Weights that are read again from their file whenever they are needed.

use super::source::{Footprint, TensorSource};
use afterimage_core::Result;
use afterimage_tensors::StoredTensor;
use std::path::PathBuf;
use std::sync::Arc;

/// A source whose tensors leave memory after each operation that read them: for models larger than the memory they may
/// take.
pub(super) struct Streamed(pub Arc<dyn TensorSource>);

impl TensorSource for Streamed {
    fn path(&self) -> PathBuf {
        self.0.path()
    }

    fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        Ok(self.0.rows(name, shape)?.into_iter().map(StoredTensor::streamed).collect())
    }

    fn footprint(&self, name: &str, shape: &[usize]) -> Result<Footprint> {
        self.0.footprint(name, shape)
    }
}
