//! Weights as the processor's kernels multiply them, from a card's memory.

use crate::memory::{AddressExtent, StandInMemory};
use crate::numbers::{StandInNumber, round_to_bf16};
use crate::status::Fault;
use crate::weights::{StandInWeightKind, StoredWeight};
use afterimage_tensors::{Element, Matrix, SharedBytes};
use std::sync::Arc;

impl StoredWeight {
    /// One row's numbers as f32, without the row's scale: as the kernel multiplies them.
    pub(crate) fn row(&self, memory: &StandInMemory, card: usize, row: usize) -> Result<Vec<f32>, Fault> {
        let row_bytes = self.kind.row_bytes(self.cols);
        let address = self.numbers + (row * row_bytes) as u64;
        let plain = |number| memory.read(card, address, number, AddressExtent::vector(self.cols), "weight");
        let Some(group) = self.kind.group() else {
            return match self.kind {
                StandInWeightKind::F32 => plain(StandInNumber::F32),
                StandInWeightKind::Bf16 => plain(StandInNumber::Bf16),
                StandInWeightKind::F8 => plain(StandInNumber::F8),
                StandInWeightKind::I8 | StandInWeightKind::U4 | StandInWeightKind::PlainI8 => plain(StandInNumber::I8),
            };
        };
        let groups = self.cols / group;
        let of_groups = |start: u64, what| {
            let at = start + (2 * row * groups) as u64;
            memory.read(card, at, StandInNumber::F16, AddressExtent::vector(groups), what)
        };
        let factors = of_groups(self.factors, "factors")?;
        let offsets = if self.offsets == 0 { vec![0.0; groups] } else { of_groups(self.offsets, "offsets")? };
        let mut values = match self.kind {
            StandInWeightKind::U4 => {
                let bytes = memory.bytes(card, address, row_bytes, "weight")?;
                bytes.as_chunks::<16>().0.iter().flat_map(unpacked).collect()
            }
            _ => plain(StandInNumber::I8)?,
        };
        for (group, (factor, offset)) in values.chunks_exact_mut(group).zip(factors.iter().zip(offsets)) {
            for value in group {
                *value = factor * *value - offset;
            }
        }
        Ok(values)
    }

    fn decode(&self, memory: &StandInMemory, card: usize) -> Result<Matrix, Fault> {
        let bytes = self.rows * self.kind.row_bytes(self.cols);
        if self.kind == StandInWeightKind::Bf16 {
            let shared = SharedBytes::new(memory.bytes(card, self.numbers, bytes, "weight")?.to_vec());
            return Matrix::new(shared, Element::Bf16, self.rows, self.cols).ok_or_else(|| Fault::invalid("weight"));
        }
        // All of it at once first, so that a message tells the whole range.
        memory.bytes(card, self.numbers, bytes, "weight")?;
        let scales = match self.row_scales {
            0 => vec![1.0; self.rows],
            address => {
                memory.read(card, address, StandInNumber::F32, AddressExtent::vector(self.rows), "row_scales")?
            }
        };
        let mut values = Vec::with_capacity(self.rows * self.cols);
        for (row, scale) in scales.iter().enumerate() {
            let mut numbers = self.row(memory, card, row)?;
            if self.kind.group().is_some() {
                // What tensor cores are given.
                round_to_bf16(&mut numbers);
            }
            values.extend(numbers.iter().map(|value| value * scale));
        }
        Ok(Matrix::from_f32(&values, self.rows, self.cols))
    }
}

/// A group of 32 numbers: the low halves of 16 bytes, then the high ones.
fn unpacked(bytes: &[u8; 16]) -> [f32; 32] {
    std::array::from_fn(|i| f32::from(if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 }))
}

impl StandInMemory {
    /// A weight, times its rows' scales.
    pub(crate) fn weight(&mut self, card: usize, stored: StoredWeight) -> Result<Arc<Matrix>, Fault> {
        if let Some(matrix) = self.weights.get(&stored) {
            self.bytes(card, stored.numbers, stored.rows * stored.kind.row_bytes(stored.cols), "weight")?;
            return Ok(matrix);
        }
        let matrix = Arc::new(stored.decode(self, card)?);
        self.weights.keep(stored, Arc::clone(&matrix));
        Ok(matrix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_decoded_again_after_it_was_written() {
        let mut memory = StandInMemory::new(1);
        let address = memory.allocate(0, 2 * 32, 0).unwrap();
        let write = |memory: &mut StandInMemory, at: u64, value: f32| {
            memory.write(0, at, StandInNumber::F32, AddressExtent::vector(1), &[value], "x").unwrap();
        };
        write(&mut memory, address, 1.5);
        let stored = StoredWeight::plain(StandInWeightKind::F32, 2, 3, address);
        let first = memory.weight(0, stored).unwrap();
        assert_eq!(first.to_f32(), [1.5, 0.0, 0.0, 0.0, 0.0, 0.0]);
        write(&mut memory, address + 24, 9.0);
        assert!(Arc::ptr_eq(&first, &memory.weight(0, stored).unwrap()), "written behind it");
        write(&mut memory, address + 20, 2.5);
        assert_eq!(memory.weight(0, stored).unwrap().to_f32(), [1.5, 0.0, 0.0, 0.0, 0.0, 2.5]);
        memory.free(address).unwrap();
        assert!(memory.weight(0, stored).is_err());
        assert_eq!(memory.weights.numbers, 0);
    }
}
