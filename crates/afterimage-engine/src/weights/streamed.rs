//! Weights that are read again from their file whenever they are needed.

use super::source::{Footprint, KeptBytes, TensorSource};
use afterimage_core::Result;
use afterimage_tensors::StoredTensor;
use std::path::PathBuf;
use std::sync::Arc;

/// A source whose tensors, all or some, leave memory after each operation that read them: for models larger than the memory
/// they may take.
pub(crate) struct Streamed {
    source: Arc<dyn TensorSource>,
    is_streamed: fn(&str) -> bool,
}

impl Streamed {
    /// All tensors.
    pub fn all(source: Arc<dyn TensorSource>) -> Self {
        Self { source, is_streamed: |_| true }
    }

    /// Those whose canonical names are among `names`.
    pub fn only(source: Arc<dyn TensorSource>, names: fn(&str) -> bool) -> Self {
        Self { source, is_streamed: names }
    }
}

impl TensorSource for Streamed {
    fn path(&self) -> PathBuf {
        self.source.path()
    }

    fn has(&self, name: &str) -> bool {
        self.source.has(name)
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        let rows = self.source.rows(name, shape)?;
        Ok(if (self.is_streamed)(name) { rows.into_iter().map(StoredTensor::streamed).collect() } else { rows })
    }

    fn footprint(&self, name: &str, shape: &[usize], kept: KeptBytes<'_>) -> Result<Footprint> {
        self.source.footprint(name, shape, kept)
    }
}
