//! Weights that become a type of fewer bits while they are read.

use super::source::{Footprint, KeptBytes, TensorSource};
use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, SharedBytes, StoredTensor, to_e4m3, to_f32};
use half::{bf16, f16};
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// What numbers are rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// bf16, every tensor of f32 or f16.
    Bf16,
    /// 8-bit integers in blocks of 32 ([`Element::Q8_0`]), four of a row with one factor where its length allows: the matrices
    /// of a transformer's blocks that are f32, f16 or bf16. What stands before and behind the blocks is small, and its errors reach everything.
    Int8,
    /// The same of the same matrices with one factor for all blocks of a row, for devices that multiply whole rows of integers.
    RowsOfInt8,
    /// 8-bit floats ([`Element::F8E4M3`]) with a factor for the tensor, of the same matrices.
    Fp8,
}

/// A source whose tensors come rounded. Tensors stored in as few bits or fewer stay where they are.
pub struct Rounded {
    /// Where they come from.
    pub source: Arc<dyn TensorSource>,
    /// What they become.
    pub to: Rounding,
}

impl TensorSource for Rounded {
    fn path(&self) -> PathBuf {
        self.source.path()
    }

    fn has(&self, name: &str) -> bool {
        self.source.has(name)
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        let blocks = self.source.rows(name, shape)?.into_iter();
        let rounded: Option<Vec<StoredTensor>> = blocks.map(|block| self.to.round(name, block)).collect();
        rounded.ok_or_else(|| Error::internal(format!("{name}: rounded numbers do not fill {shape:?}")))
    }

    fn footprint(&self, name: &str, shape: &[usize], kept: KeptBytes<'_>) -> Result<Footprint> {
        if shape.len() < 2 {
            return self.source.footprint(name, shape, kept);
        }
        let mut footprint = Footprint::default();
        for block in self.source.rows(name, shape)? {
            let target = self.to.target(name, &block);
            if let Some(mut bytes) = kept(target.unwrap_or(block.element()), block.numbers()) {
                if self.to == Rounding::RowsOfInt8 && target.is_some() {
                    // A device that asked for such rows keeps them so: a byte a number, an f32 a row.
                    let rows = block.shape().first().copied().unwrap_or(1);
                    bytes = (block.numbers() + size_of::<f32>() * rows) as u64;
                }
                // What a device keeps in memory of its own comes from the host again and again, if need be.
                footprint.mapped += bytes;
                continue;
            }
            match target.and_then(|target| target.row_bytes(block.numbers())) {
                Some(bytes) => footprint.copied += bytes as u64,
                None => footprint.mapped += block.bytes().len() as u64,
            }
        }
        footprint.largest = footprint.mapped;
        Ok(footprint)
    }
}

impl Rounding {
    /// What `tensor` becomes; `None`: it stays. Quantised numbers would become larger, and no more exact.
    fn target(self, name: &str, tensor: &StoredTensor) -> Option<Element> {
        match (self, tensor.element()) {
            (Self::Bf16, Element::F32 | Element::F16) => Some(Element::Bf16),
            (Self::Int8 | Self::RowsOfInt8, Element::F32 | Element::F16 | Element::Bf16) => {
                let in_block = name.contains("double_blocks.") || name.contains("single_blocks.");
                let whole = matches!(tensor.shape(), [_, cols] if cols.is_multiple_of(Element::Q8_0.block()));
                (in_block && whole).then_some(Element::Q8_0)
            }
            (Self::Fp8, Element::F32 | Element::F16 | Element::Bf16) => {
                let in_block = name.contains("double_blocks.") || name.contains("single_blocks.");
                (in_block && matches!(tensor.shape(), [_, _])).then_some(Element::F8E4M3)
            }
            _ => None,
        }
    }

    fn round(self, name: &str, tensor: StoredTensor) -> Option<StoredTensor> {
        /// Numbers converted by one task.
        const NUMBERS: usize = 1 << 16;
        /// Numbers with one factor: as far as the products of a processor can sum integers before they multiply (decision 28).
        const TOGETHER: usize = 128;
        let Some(target) = self.target(name, &tensor) else { return Some(tensor) };
        let element = tensor.element();
        let mut rounded = vec![0_u8; target.row_bytes(tensor.numbers())?];
        let factor = if self == Self::Fp8 { fp8_factor(&tensor) } else { 1.0 };
        // A single number has no columns.
        let cols = tensor.shape().last().copied().unwrap_or(1);
        let numbers = if self == Self::RowsOfInt8 { cols } else { NUMBERS };
        let parts = tensor.bytes().par_chunks(element.block_bytes() * numbers.max(1));
        rounded.par_chunks_mut(target.row_bytes(numbers)?.max(1)).zip(parts).for_each(|(rounded, stored)| {
            let mut values = vec![0.0; stored.len() / element.block_bytes()];
            to_f32(stored, element, &mut values);
            match self {
                Self::Bf16 => {
                    for (target, value) in rounded.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                        *target = bf16::from_f32(value).to_le_bytes();
                    }
                }
                Self::Int8 => {
                    // Never blocks of two rows.
                    let together = if cols.is_multiple_of(TOGETHER) { TOGETHER } else { 32 };
                    for (targets, values) in rounded.chunks_mut(together / 32 * 34).zip(values.chunks(together)) {
                        to_blocks(values, targets);
                    }
                }
                Self::RowsOfInt8 => to_blocks(&values, rounded),
                Self::Fp8 => {
                    for (target, value) in rounded.iter_mut().zip(values) {
                        *target = to_e4m3(value / factor);
                    }
                }
            }
        });
        // Nobody reads what was rounded again: without this a file of 48 GB would lie in memory beside its copy.
        tensor.bytes().forget();
        let shape = tensor.shape().to_vec();
        let rounded = StoredTensor::new(tensor.name(), shape, target, SharedBytes::new(rounded))?;
        let scale = tensor.scale().map_or(factor, |scale| scale * factor);
        Some(if tensor.scale().is_some() || self == Self::Fp8 { rounded.with_scale(scale) } else { rounded })
    }
}

/// What makes a tensor's largest number the largest of e4m3, 448; NaN where a number is none. A tensor of zeros has 1.
fn fp8_factor(tensor: &StoredTensor) -> f32 {
    /// Numbers read by one task.
    const NUMBERS: usize = 1 << 16;
    let element = tensor.element();
    let parts = tensor.bytes().par_chunks(element.block_bytes() * NUMBERS);
    let largest = parts.map(|stored| {
        let mut values = vec![0.0; stored.len() / element.block_bytes()];
        to_f32(stored, element, &mut values);
        values.iter().fold(0.0_f32, |largest, value| {
            if value.is_nan() || largest.is_nan() { f32::NAN } else { largest.max(value.abs()) }
        })
    });
    // A maximum passes over what is no number.
    let largest =
        largest.reduce(|| 0.0, |one, other| if one.is_nan() || other.is_nan() { f32::NAN } else { one.max(other) });
    if largest == 0.0 { 1.0 } else { largest / 448.0 }
}

/// The factor that makes the largest of some numbers 127, rounded to f16. What is no number leaves one that is none.
fn factor_of(values: &[f32]) -> f16 {
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    // A maximum passes over what is no number.
    f16::from_f32(if values.iter().any(|value| value.is_nan()) { f32::NAN } else { largest / 127.0 })
}

/// Numbers as blocks with one factor for all.
fn to_blocks(values: &[f32], blocks: &mut [u8]) {
    let factor = factor_of(values);
    for (target, values) in blocks.as_chunks_mut::<34>().0.iter_mut().zip(values.as_chunks::<32>().0) {
        *target = q8_0(values, factor);
    }
}

/// 32 numbers as a block: the factor, and the nearest integers for it.
fn q8_0(values: &[f32; 32], factor: f16) -> [u8; 34] {
    /// Added to a small number and taken away again, leaves the nearest integer, halves to even; without a call for each.
    const ROUND: f32 = 12_582_912.0;
    let worth = factor.to_f32();
    let mut block = [0; 34];
    block[..2].copy_from_slice(&factor.to_le_bytes());
    // A factor of 0 stands for numbers too small for f16.
    if worth > 0.0 {
        for (target, value) in block[2..].iter_mut().zip(values) {
            let nearest = ((value / worth).clamp(-127.0, 127.0) + ROUND) - ROUND;
            *target = (nearest as i8).cast_unsigned();
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_nearest() {
        let bytes: Vec<u8> = [1.0_f32, 1.003, -2.5e-3].into_iter().flat_map(f32::to_le_bytes).collect();
        let tensor = StoredTensor::new("x", vec![3], Element::F32, SharedBytes::new(bytes)).unwrap();
        let rounded = Rounding::Bf16.round("x", tensor).unwrap();
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
        let of = |element, shape: &[usize]| {
            Rounded { source: Arc::new(One(element)), to: Rounding::Bf16 }.footprint("x", shape, &|_, _| None).unwrap()
        };
        assert_eq!(of(Element::F32, &[4, 32]), Footprint { mapped: 0, copied: 256, largest: 0 });
        assert_eq!(of(Element::Bf16, &[4, 32]), Footprint { mapped: 256, copied: 0, largest: 256 });
        assert_eq!(of(Element::Q8_0, &[4, 32]), Footprint { mapped: 136, copied: 0, largest: 136 });
        assert_eq!(of(Element::Q8_0, &[32]), Footprint { mapped: 0, copied: 128, largest: 0 });
        // A device with memory of its own: as it keeps numbers, and rows of integers with a factor each in 8 bits.
        let on_card = |element, to| {
            let rounded = Rounded { source: Arc::new(One(element)), to };
            let name = "double_blocks.0.img_mlp.0.weight";
            rounded.footprint(name, &[4, 64], &|_, numbers| Some(9 * numbers as u64 / 8)).unwrap().mapped
        };
        assert_eq!(on_card(Element::Bf16, Rounding::RowsOfInt8), 4 * 64 + 4 * 4);
        assert_eq!(on_card(Element::Q8_0, Rounding::RowsOfInt8), 9 * 4 * 64 / 8);
        assert_eq!(on_card(Element::Bf16, Rounding::Fp8), 9 * 4 * 64 / 8);
        let rows = Rounded { source: Arc::new(One(Element::F32)), to: Rounding::Bf16 }.rows("x", &[4, 32]).unwrap();
        assert_eq!(rows[0].bytes().len(), 256);
    }

    #[test]
    fn quantised_numbers_stay_as_they_are() {
        let tensor = StoredTensor::new("x", vec![32], Element::Q8_0, SharedBytes::new(vec![7; 34])).unwrap();
        assert_eq!(Rounding::Int8.round("double_blocks.0", tensor).unwrap().element(), Element::Q8_0);
    }

    #[test]
    fn integers_are_the_nearest_that_a_block_has() {
        let values: Vec<f32> = (0..64_u8).map(|index| (f32::from(index) - 20.0) * 0.013).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = |name: &str, shape: &[usize]| {
            let bytes = SharedBytes::new(bytes.clone());
            StoredTensor::new(name, shape.to_vec(), Element::F32, bytes).unwrap()
        };
        let name = "double_blocks.0.img_mlp.0.weight";
        let rounded = Rounding::Int8.round(name, tensor(name, &[2, 32])).unwrap();
        assert_eq!((rounded.element(), rounded.shape()), (Element::Q8_0, &[2, 32][..]));
        let mut found = [0.0; 64];
        rounded.read(&mut found);
        for (block, (found, values)) in found.chunks(32).zip(values.chunks(32)).enumerate() {
            let step = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs())) / 127.0;
            for (found, value) in found.iter().zip(values) {
                // Half a step, and what f16 leaves of the factor.
                assert!((found - value).abs() <= 0.5 * step + value.abs() / 2048.0, "{block}: {found}, {value}");
            }
        }
        // One factor for both blocks of a row: that of its largest number.
        let whole = Rounding::RowsOfInt8.round(name, tensor(name, &[1, 64])).unwrap();
        let factors: Vec<&[u8]> = whole.bytes().chunks_exact(34).map(|block| &block[..2]).collect();
        assert_eq!(factors[0], factors[1]);
        whole.read(&mut found);
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        for (found, value) in found.iter().zip(&values) {
            assert!((found - value).abs() <= 0.5 * largest / 127.0 + largest / 2048.0, "{found}, {value}");
        }
        // Four blocks of a row have one factor where rows are of whole fours.
        let factors_of = |cols: usize| {
            let bytes: Vec<u8> = (0..2 * cols).flat_map(|index| (index as f32).to_le_bytes()).collect();
            let tensor = StoredTensor::new(name, vec![2, cols], Element::F32, SharedBytes::new(bytes)).unwrap();
            let rounded = Rounding::Int8.round(name, tensor).unwrap();
            rounded.bytes().chunks_exact(34).map(|block| [block[0], block[1]]).collect::<Vec<_>>()
        };
        let factors = factors_of(256);
        assert!(factors.chunks(4).all(|four| four.iter().all(|factor| *factor == four[0])), "{factors:?}");
        assert!(factors.chunks(4).is_sorted_by(|one, next| one[0] != next[0]), "{factors:?}");
        assert!(factors_of(96).is_sorted_by(|one, next| one != next));
        for (name, shape) in [("img_in.weight", [2, 32]), (name, [4, 16])] {
            assert_eq!(Rounding::Int8.round(name, tensor(name, &shape)).unwrap().element(), Element::F32, "{name}");
        }
    }

    #[test]
    fn eight_bit_floats_are_the_nearest_for_the_tensors_factor() {
        let values = [0.5_f32, -1.75, 0.013, 1e-6];
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = "single_blocks.0.linear1.weight";
        let tensor = StoredTensor::new(name, vec![2, 2], Element::F32, SharedBytes::new(bytes)).unwrap();
        let rounded = Rounding::Fp8.round(name, tensor).unwrap();
        assert_eq!((rounded.element(), rounded.scale()), (Element::F8E4M3, Some(1.75 / 448.0)));
        let mut found = [0.0; 4];
        rounded.read(&mut found);
        for (found, value) in found.iter().zip(values) {
            // Half of the last of three bits, and half of the smallest number.
            assert!((found - value).abs() <= value.abs() / 16.0 + 1.75 / 448.0 / 1024.0, "{found}, {value}");
        }
    }

    #[test]
    fn a_single_number_is_rounded_like_any_other() {
        let tensor = StoredTensor::new("x", Vec::new(), Element::F32, SharedBytes::new(1.0_f32.to_le_bytes().to_vec()));
        let rounded = Rounding::Bf16.round("x", tensor.unwrap()).unwrap();
        assert_eq!((rounded.element(), rounded.shape(), rounded.bytes().len()), (Element::Bf16, &[][..], 2));
    }

    #[test]
    fn odd_blocks_stay_odd_or_become_zeros() {
        let q8_0 = |values: &[f32; 32]| q8_0(values, factor_of(values));
        let factor = |values: &[f32; 32]| f16::from_le_bytes([q8_0(values)[0], q8_0(values)[1]]).to_f32();
        for odd in [f32::NAN, f32::INFINITY] {
            let mut values = [1.0; 32];
            values[3] = odd;
            assert!(!factor(&values).is_finite(), "{odd}");
        }
        assert_eq!(q8_0(&[0.0; 32]), [0; 34]);
        assert_eq!(q8_0(&[1e-30; 32]), [0; 34]);
    }
}
