//! Writes weights in the forms in which people have them.

use afterimage_tensors::{Element, SharedBytes, StoredTensor};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// Tensors by the names under which they are written.
pub type Weights = BTreeMap<String, StoredTensor>;

/// A tensor of plain numbers.
pub fn plain(name: &str, shape: &[usize], element: Element, values: &[f32]) -> StoredTensor {
    let bytes: Vec<u8> = match element {
        Element::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Element::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        Element::Bf16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => eight_bits(element, values),
    };
    StoredTensor::new(name, shape.to_vec(), element, SharedBytes::new(bytes)).unwrap()
}

/// Each number as the nearest of 8 bits.
fn eight_bits(element: Element, values: &[f32]) -> Vec<u8> {
    let all: Vec<u8> = (0..=255).collect();
    let mut worth = vec![0.0; 256];
    StoredTensor::new("", vec![256], element, SharedBytes::new(all)).unwrap().read(&mut worth);
    let nearest = |value: &f32| {
        let distance = |byte: &usize| (worth[*byte] - value).abs();
        (0..256).filter(|byte| worth[*byte].is_finite()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
            as u8
    };
    values.iter().map(nearest).collect()
}

/// A matrix of random blocks whose numbers have about the size that keeps activations in size.
pub fn random_blocks(name: &str, shape: &[usize], element: Element, seed: u64) -> StoredTensor {
    let (cols, numbers) = (*shape.last().unwrap(), shape.iter().product::<usize>());
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes: Vec<u8> = (0..element.row_bytes(numbers).unwrap())
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    // Where the scale of a block stands, and how large the numbers get with the scale 1; where the minimum stands, and
    // the middle of the numbers, which it takes away. Minima of GGML's small blocks are added, of the others subtracted.
    let (scale_at, largest, minimum): (usize, f32, Option<(usize, f32)>) = match element {
        Element::Q8_0 => (0, 128.0, None),
        Element::Q4_0 => (0, 8.0, None),
        Element::Q4_1 => (0, 8.0, Some((2, -7.5))),
        Element::Q5_0 => (0, 16.0, None),
        Element::Q5_1 => (0, 16.0, Some((2, -15.5))),
        Element::Iq4Nl => (0, 120.0, None),
        Element::Q2K => (80, 1.5 * 15.0, Some((82, 1.5))),
        Element::Q3K => (108, 4.0 * 32.0, None),
        Element::Q4K => (0, 7.5 * 63.0, Some((2, 7.5))),
        Element::Q5K => (0, 15.5 * 63.0, Some((2, 15.5))),
        Element::Q6K => (208, 32.0 * 128.0, None),
        _ => unreachable!("{element:?} has no blocks"),
    };
    let scale = (3.0 / cols as f32).sqrt() / largest;
    for block in bytes.chunks_exact_mut(element.block_bytes()) {
        block[scale_at..scale_at + 2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
        if let Some((at, middle)) = minimum {
            block[at..at + 2].copy_from_slice(&f16::from_f32(scale * middle).to_le_bytes());
        }
    }
    StoredTensor::new(name, shape.to_vec(), element, SharedBytes::new(bytes)).unwrap()
}

/// The numbers that a tensor is worth.
pub fn values(tensor: &StoredTensor) -> Vec<f32> {
    let mut values = vec![0.0; tensor.numbers()];
    tensor.read(&mut values);
    values
}

/// The same numbers in f32.
pub fn decoded(weights: &Weights) -> Weights {
    let decode = |(name, tensor): (&String, &StoredTensor)| {
        (name.clone(), plain(name, tensor.shape(), Element::F32, &values(tensor)))
    };
    weights.iter().map(decode).collect()
}

/// The same tensors under other names.
pub fn renamed(weights: &Weights, name: impl Fn(&str) -> String) -> Weights {
    weights.iter().map(|(before, tensor)| (name(before), tensor.clone())).collect()
}

/// Writes a safetensors file.
pub fn safetensors(path: &Path, weights: &Weights, metadata: Option<HashMap<String, String>>) {
    let views = weights.iter().map(|(name, tensor)| {
        let dtype = match tensor.element() {
            Element::F32 => Dtype::F32,
            Element::F16 => Dtype::F16,
            Element::Bf16 => Dtype::BF16,
            Element::F8E4M3 => Dtype::F8_E4M3,
            Element::F8E5M2 => Dtype::F8_E5M2,
            other => unreachable!("safetensors have no {other:?}"),
        };
        (name, TensorView::new(dtype, tensor.shape().to_vec(), tensor.bytes()).unwrap())
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    safetensors::serialize_to_file(views, metadata, path).unwrap();
}

/// Writes a GGUF file of version 3.
pub fn gguf(path: &Path, weights: &Weights) {
    const ALIGNMENT: usize = 32;
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend((weights.len() as u64).to_le_bytes());
    file.extend(1_u64.to_le_bytes());
    file.extend([text("general.architecture"), 8_u32.to_le_bytes().to_vec(), text("flux")].concat());
    let mut offset = 0_usize;
    for (name, tensor) in weights {
        let number = match tensor.element() {
            Element::F32 => 0_u32,
            Element::F16 => 1,
            Element::Q4_0 => 2,
            Element::Q4_1 => 3,
            Element::Q5_0 => 6,
            Element::Q5_1 => 7,
            Element::Q8_0 => 8,
            Element::Q2K => 10,
            Element::Q3K => 11,
            Element::Q4K => 12,
            Element::Q5K => 13,
            Element::Q6K => 14,
            Element::Iq4Nl => 20,
            Element::Bf16 => 30,
            other => unreachable!("GGUF has no {other:?}"),
        };
        file.extend(text(name));
        file.extend((tensor.shape().len() as u32).to_le_bytes());
        file.extend(tensor.shape().iter().rev().flat_map(|side| (*side as u64).to_le_bytes()));
        file.extend(number.to_le_bytes());
        file.extend((offset as u64).to_le_bytes());
        offset = (offset + tensor.bytes().len()).next_multiple_of(ALIGNMENT);
    }
    for tensor in weights.values() {
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        file.extend_from_slice(tensor.bytes());
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, file).unwrap();
}
