//! Weights of 8 bits with a scale for each output.

use crate::weights::{LayoutSource, TensorSource};
use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, SharedBytes, StoredTensor};
use std::path::PathBuf;

/// A source in which a tensor `NAME.weight` that stands beside a `NAME.scale` `[outputs]` is of 8-bit integers and means
/// `integer · scale[output]`; it comes as f32. All others come as they are.
pub(super) struct ScaledIntegers(pub LayoutSource);

impl TensorSource for ScaledIntegers {
    fn path(&self) -> PathBuf {
        self.0.path()
    }

    fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        let scale = name.strip_suffix(".weight").map(|layer| format!("{layer}.scale"));
        match (scale.filter(|scale| self.0.has(scale)), shape) {
            (Some(scale), [outputs, ..]) if self.0.has(name) => {
                let scales = self.0.values(&scale, &[*outputs])?;
                Ok(vec![self.scaled(name, shape, &scales)?])
            }
            _ => self.0.rows(name, shape),
        }
    }
}

impl ScaledIntegers {
    fn scaled(&self, name: &str, shape: &[usize], scales: &[f32]) -> Result<StoredTensor> {
        let refused = |expected: String, found: String| Error::Tensor {
            path: self.path(),
            tensor: name.to_owned(),
            expected,
            found,
        };
        let file = self.0.component().file_of(name);
        let (info, bytes) = file
            .and_then(|file| Some((file.info(name)?, file.bytes(name)?)))
            .ok_or_else(|| Error::internal(format!("{name}: has gone")))?;
        if info.type_name != "i8" || info.shape != shape {
            return Err(refused(format!("{shape:?} in i8, since it has a scale"), info.to_string()));
        }
        let inputs = (bytes.len() / scales.len().max(1)).max(1);
        let rows = bytes.chunks_exact(inputs).zip(scales);
        let values = rows.flat_map(|(row, scale)| row.iter().map(move |byte| f32::from(byte.cast_signed()) * scale));
        let mut expanded = Vec::with_capacity(4 * bytes.len());
        let mut finite = true;
        for value in values {
            finite &= value.is_finite();
            expanded.extend(value.to_le_bytes());
        }
        if !finite {
            return Err(refused("finite numbers".to_owned(), "NaN or infinity".to_owned()));
        }
        StoredTensor::new(name, shape.to_vec(), Element::F32, SharedBytes::new(expanded))
            .ok_or_else(|| Error::internal(format!("{name}: scaled numbers do not fill {shape:?}")))
    }
}
