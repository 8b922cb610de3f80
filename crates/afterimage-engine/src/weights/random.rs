//! Made-up weights of any size, for benchmarks without a model.

use super::source::TensorSource;
use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, SharedBytes, StoredTensor};
use half::{bf16, f16};
use rayon::prelude::*;
use std::path::PathBuf;

/// A [`TensorSource`] that has every tensor one asks for. The values follow from name and position alone:
///
/// `value(i) = centre + spread · u`, where `u = 2 · (splitmix64(fnv1a(name) + (i + 1) · γ) >> 40) / 2²⁴ − 1` is uniform
/// in −1..1 and γ is splitmix64's increment. Weights have a standard deviation of 1/√(inputs), so that activations keep
/// their size from layer to layer; the scales of normalisations are near 1, biases near 0. Another program can make the
/// same weights from this formula.
#[derive(Clone, Copy, Debug)]
pub struct RandomWeights {
    element: Element,
}

impl RandomWeights {
    /// Weights stored as `element`.
    pub fn new(element: Element) -> Self {
        Self { element }
    }
}

impl TensorSource for RandomWeights {
    fn path(&self) -> PathBuf {
        PathBuf::from("<random weights>")
    }

    fn has(&self, _name: &str) -> bool {
        true
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        let too_large = || Error::internal(format!("{name}: {shape:?} is too large"));
        let numbers = shape.iter().try_fold(1_usize, |numbers, side| numbers.checked_mul(*side));
        let length = numbers.and_then(|numbers| self.element.row_bytes(numbers)).ok_or_else(too_large)?;
        let mut bytes = vec![0_u8; length];
        match self.element {
            Element::F32 => fill(&mut bytes, name, shape, f32::to_le_bytes),
            Element::Bf16 => fill(&mut bytes, name, shape, |value| bf16::from_f32(value).to_le_bytes()),
            Element::F16 => fill(&mut bytes, name, shape, |value| f16::from_f32(value).to_le_bytes()),
            quantised => return Err(Error::internal(format!("random weights are not made in {}", quantised.name()))),
        }
        let tensor = StoredTensor::new(name, shape.to_vec(), self.element, SharedBytes::new(bytes));
        Ok(vec![tensor.ok_or_else(too_large)?])
    }
}

/// Fills `bytes` with the numbers of the tensor `name`, each stored as `store` does.
fn fill<const SIZE: usize>(bytes: &mut [u8], name: &str, shape: &[usize], store: impl Fn(f32) -> [u8; SIZE] + Sync) {
    let (centre, spread) = distribution(name, shape);
    let seed = fnv1a(name);
    bytes.par_chunks_mut(CHUNK * SIZE).enumerate().for_each(|(chunk, out)| {
        let first = (chunk * CHUNK) as u64;
        let values = (first..).map(|index| centre + spread * uniform(seed, index));
        for (stored, value) in out.as_chunks_mut::<SIZE>().0.iter_mut().zip(values) {
            *stored = store(value);
        }
    });
}

/// Numbers that one thread makes at a time.
const CHUNK: usize = 64 * 1024;

/// Centre and half width of the uniform distribution of a tensor's values.
fn distribution(name: &str, shape: &[usize]) -> (f32, f32) {
    if name.ends_with("bias") {
        return (0.0, 0.02);
    }
    if shape.len() < 2 {
        return (1.0, 0.05);
    }
    let inputs: usize = shape[1..].iter().product();
    // A uniform distribution of half width √3 has unit variance.
    (0.0, (3.0 / inputs.max(1) as f32).sqrt())
}

/// FNV-1a, 64 bits: stable across versions and platforms, unlike the standard library's hashes.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// splitmix64 (Steele, Lea, Flood 2014), which can be entered at any position.
fn uniform(seed: u64, index: u64) -> f32 {
    let mut bits = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Scope;
    use std::sync::Arc;

    fn scope(element: Element) -> Scope {
        Scope::new(Arc::new(RandomWeights::new(element)))
    }

    #[test]
    fn values_follow_from_name_and_position() {
        let values = scope(Element::F32).values("a.weight", &[300, 400]).unwrap();
        assert_eq!(values, scope(Element::F32).at("a").values("weight", &[300, 400]).unwrap());
        assert_ne!(values, scope(Element::F32).values("b.weight", &[300, 400]).unwrap());
        // Positions count on across the pieces that the threads make.
        assert_eq!(values[..2], scope(Element::F32).values("a.weight", &[1, 400]).unwrap()[..2]);
        let rounded = scope(Element::Bf16).values("a.weight", &[300, 400]).unwrap();
        assert!(values.iter().zip(&rounded).all(|(exact, rounded)| bf16::from_f32(*exact) == bf16::from_f32(*rounded)));
    }

    #[test]
    fn splitmix64_is_the_published_one() {
        // The reference implementation's first output for seed 0 is 0xe220a8397b1dcdaf.
        let expected = (0xe2_20a8_u32 as f32) / (1_u32 << 23) as f32 - 1.0;
        assert_eq!(uniform(0, 0).to_bits(), expected.to_bits());
    }

    #[test]
    fn spreads_keep_activations_in_size() {
        let values = scope(Element::F32).values("layer.weight", &[256, 1024]).unwrap();
        let count = values.len() as f64;
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let variance = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() < 1e-3, "{mean}");
        assert!((variance * 1024.0 - 1.0).abs() < 0.02, "{variance}");
        let scales = scope(Element::F16).vector("norm.scale", 128).unwrap();
        assert!(scales.iter().all(|scale| (scale - 1.0).abs() < 0.06));
    }

    #[test]
    fn absurd_shapes_are_an_error() {
        assert!(RandomWeights::new(Element::F32).rows("x", &[usize::MAX, 2]).is_err());
    }
}
