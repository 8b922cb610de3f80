//! Weights rounded to bf16 while they are read.

use super::source::{Footprint, TensorSource};
use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, SharedBytes, StoredTensor, to_f32};
use half::bf16;
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// A source whose tensors come as bf16: half the memory of f32 files. Tensors stored as bf16 or in fewer bits stay where
/// they are.
pub struct RoundedToBf16(pub Arc<dyn TensorSource>);

impl TensorSource for RoundedToBf16 {
    fn path(&self) -> PathBuf {
        self.0.path()
    }

    fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        let rounded: Option<Vec<StoredTensor>> = self.0.rows(name, shape)?.into_iter().map(round).collect();
        rounded.ok_or_else(|| Error::internal(format!("{name}: rounded numbers do not fill {shape:?}")))
    }

    fn footprint(&self, name: &str, shape: &[usize]) -> Result<Footprint> {
        if shape.len() < 2 {
            return self.0.footprint(name, shape);
        }
        let mut footprint = Footprint::default();
        for block in self.0.rows(name, shape)? {
            if becomes_a_copy(&block) {
                footprint.copied += 2 * block.numbers() as u64;
            } else {
                footprint.mapped += block.bytes().len() as u64;
            }
        }
        footprint.largest = footprint.mapped;
        Ok(footprint)
    }
}

/// Quantised numbers would become larger, and no more exact.
fn becomes_a_copy(tensor: &StoredTensor) -> bool {
    matches!(tensor.element(), Element::F32 | Element::F16)
}

fn round(tensor: StoredTensor) -> Option<StoredTensor> {
    /// Numbers converted by one task.
    const NUMBERS: usize = 1 << 16;
    let element = tensor.element();
    if !becomes_a_copy(&tensor) {
        return Some(tensor);
    }
    let mut rounded = vec![0_u8; 2 * tensor.numbers()];
    rounded.par_chunks_mut(2 * NUMBERS).zip(tensor.bytes().par_chunks(element.block_bytes() * NUMBERS)).for_each(
        |(rounded, stored)| {
            let mut values = vec![0.0; rounded.len() / 2];
            to_f32(stored, element, &mut values);
            for (target, value) in rounded.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                *target = bf16::from_f32(value).to_le_bytes();
            }
        },
    );
    // Nobody reads what was rounded again: without this a file of 48 GB would lie in memory beside its copy.
    tensor.bytes().forget();
    let shape = tensor.shape().to_vec();
    let rounded = StoredTensor::new(tensor.name(), shape, Element::Bf16, SharedBytes::new(rounded))?;
    Some(match tensor.scale() {
        Some(scale) => rounded.with_scale(scale),
        None => rounded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_nearest() {
        let bytes: Vec<u8> = [1.0_f32, 1.003, -2.5e-3].into_iter().flat_map(f32::to_le_bytes).collect();
        let tensor = StoredTensor::new("x", vec![3], Element::F32, SharedBytes::new(bytes)).unwrap();
        let rounded = round(tensor).unwrap();
        assert_eq!(rounded.element(), Element::Bf16);
        let mut values = [0.0; 3];
        rounded.read(&mut values);
        assert_eq!(values.map(bf16::from_f32), [1.0, 1.0, -2.5e-3].map(bf16::from_f32));
    }

    #[test]
    fn what_will_be_copied_counts_as_the_copy() {
        struct One(Element);
        impl TensorSource for One {
            fn path(&self) -> PathBuf {
                PathBuf::new()
            }

            fn has(&self, _: &str) -> bool {
                true
            }

            fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
                let bytes = SharedBytes::new(vec![0; self.0.row_bytes(shape.iter().product()).unwrap()]);
                Ok(vec![StoredTensor::new(name, shape.to_vec(), self.0, bytes).unwrap()])
            }
        }
        let of = |element, shape: &[usize]| RoundedToBf16(Arc::new(One(element))).footprint("x", shape).unwrap();
        assert_eq!(of(Element::F32, &[4, 32]), Footprint { mapped: 0, copied: 256, largest: 0 });
        assert_eq!(of(Element::Bf16, &[4, 32]), Footprint { mapped: 256, copied: 0, largest: 256 });
        assert_eq!(of(Element::Q8_0, &[4, 32]), Footprint { mapped: 136, copied: 0, largest: 136 });
        assert_eq!(of(Element::Q8_0, &[32]), Footprint { mapped: 0, copied: 128, largest: 0 });
        let rows = RoundedToBf16(Arc::new(One(Element::F32))).rows("x", &[4, 32]).unwrap();
        assert_eq!(rows[0].bytes().len(), 256);
    }

    #[test]
    fn quantised_numbers_stay_as_they_are() {
        let tensor = StoredTensor::new("x", vec![32], Element::Q8_0, SharedBytes::new(vec![7; 34])).unwrap();
        assert_eq!(round(tensor).unwrap().element(), Element::Q8_0);
    }
}
