//! Weights rounded to bf16 while they are read.

use super::source::TensorSource;
use afterimage_core::Result;
use afterimage_tensors::{Element, SharedBytes, StoredTensor, to_f32};
use half::bf16;
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// A source whose tensors all come as bf16: half the memory of f32 files. Tensors stored as bf16 stay where they are.
pub struct RoundedToBf16(pub Arc<dyn TensorSource>);

impl TensorSource for RoundedToBf16 {
    fn path(&self) -> PathBuf {
        self.0.path()
    }

    fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        Ok(self.0.rows(name, shape)?.into_iter().map(round).collect())
    }
}

fn round(tensor: StoredTensor) -> StoredTensor {
    /// Numbers converted by one task.
    const NUMBERS: usize = 1 << 16;
    let element = tensor.element;
    if element == Element::Bf16 {
        return tensor;
    }
    let mut rounded = vec![0_u8; tensor.bytes.len() / element.size() * 2];
    rounded.par_chunks_mut(2 * NUMBERS).zip(tensor.bytes.par_chunks(element.size() * NUMBERS)).for_each(
        |(rounded, stored)| {
            let mut values = vec![0.0; rounded.len() / 2];
            to_f32(stored, element, &mut values);
            for (target, value) in rounded.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                *target = bf16::from_f32(value).to_le_bytes();
            }
        },
    );
    StoredTensor { shape: tensor.shape, element: Element::Bf16, bytes: SharedBytes::new(rounded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_nearest() {
        let bytes: Vec<u8> = [1.0_f32, 1.003, -2.5e-3].into_iter().flat_map(f32::to_le_bytes).collect();
        let tensor = StoredTensor { shape: vec![3], element: Element::F32, bytes: SharedBytes::new(bytes) };
        let rounded = round(tensor);
        let mut values = [0.0; 3];
        to_f32(&rounded.bytes, rounded.element, &mut values);
        assert_eq!(values.map(bf16::from_f32), [1.0, 1.0, -2.5e-3].map(bf16::from_f32));
    }
}
