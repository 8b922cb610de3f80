//! Device memory: host memory under addresses of its own.
//!
//! An address is no host pointer: it lies beyond what a process can have, so that a host that reads it dies and a host
//! pointer is never taken for one. No address is given out twice and allocations stand far apart, so that whatever
//! reaches beyond one, or comes after its end, is found.

use crate::numbers::StandInNumber;
use crate::status::{Fault, StandInStatus};
use crate::weights::WeightCache;
use std::collections::BTreeMap;
use std::ops::Range;

/// The first address: beyond the 47 bits that processes use.
const FIRST_ADDRESS: u64 = 1 << 48;

/// Addresses between allocations that belong to nobody.
const GAP: u64 = 1 << 30;

/// What addresses of allocations are multiples of.
const ALIGNMENT: u64 = 512;

#[derive(Debug)]
struct Allocation {
    card: usize,
    bytes: Vec<u8>,
}

/// Bytes and calls of one card.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) live: u64,
    pub(crate) peak: u64,
    pub(crate) live_allocations: u64,
    pub(crate) allocations: u64,
}

/// Rows of numbers from an address on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressExtent {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
}

impl AddressExtent {
    pub(crate) fn vector(cols: usize) -> Self {
        Self { rows: 1, cols, stride: cols }
    }

    pub(crate) fn dense(rows: usize, cols: usize) -> Self {
        Self { rows, cols, stride: cols }
    }

    pub(crate) fn strided(rows: usize, cols: usize, stride: usize) -> Self {
        Self { rows, cols, stride }
    }

    pub(crate) fn count(self) -> usize {
        self.rows * self.cols
    }

    /// From the first number to the last.
    pub(crate) fn span(self) -> usize {
        if self.count() == 0 { 0 } else { (self.rows - 1) * self.stride + self.cols }
    }
}

/// The memory of all cards.
#[derive(Debug)]
pub(crate) struct StandInMemory {
    live: BTreeMap<u64, Allocation>,
    /// What was freed, for messages.
    freed: BTreeMap<u64, u64>,
    next: u64,
    totals: Vec<Totals>,
    pub(crate) weights: WeightCache,
}

impl StandInMemory {
    pub(crate) fn new(cards: usize) -> Self {
        Self {
            live: BTreeMap::new(),
            freed: BTreeMap::new(),
            next: FIRST_ADDRESS,
            totals: vec![Totals::default(); cards],
            weights: WeightCache::default(),
        }
    }

    pub(crate) fn totals(&self, card: usize) -> Totals {
        self.totals.get(card).copied().unwrap_or_default()
    }

    /// Room for `bytes` bytes that all have the value `fill`; `None` when the host itself has none left.
    pub(crate) fn allocate(&mut self, card: usize, bytes: usize, fill: u8) -> Option<u64> {
        let room = if fill == 0 {
            vec![0; bytes]
        } else {
            let mut room = Vec::new();
            room.try_reserve_exact(bytes).ok()?;
            room.resize(bytes, fill);
            room
        };
        let address = self.next;
        self.next = (address + bytes as u64 + GAP).next_multiple_of(ALIGNMENT);
        self.live.insert(address, Allocation { card, bytes: room });
        let totals = self.totals.get_mut(card)?;
        totals.live += bytes as u64;
        totals.peak = totals.peak.max(totals.live);
        totals.allocations += 1;
        totals.live_allocations += 1;
        Some(address)
    }

    pub(crate) fn free(&mut self, address: u64) -> Result<(), Fault> {
        let Some(allocation) = self.live.remove(&address) else {
            let what = if self.freed.contains_key(&address) { "freed twice" } else { "freed, but no allocation" };
            return Err(Fault::invalid(format!("{address:#x}: {what}")));
        };
        let bytes = allocation.bytes.len() as u64;
        self.weights.touched(&(address..address + bytes));
        self.freed.insert(address, bytes);
        if let Some(totals) = self.totals.get_mut(allocation.card) {
            totals.live -= bytes;
            totals.live_allocations -= 1;
        }
        Ok(())
    }

    /// Frees whatever a card still holds.
    pub(crate) fn free_all(&mut self, card: usize) {
        let left: Vec<u64> = self.live.iter().filter(|(_, found)| found.card == card).map(|(at, _)| *at).collect();
        for address in left {
            // It stands in the table that it was just taken from.
            let _ = self.free(address);
        }
    }

    /// The allocation that holds all of `bytes` bytes from an address on, and where in it they start.
    fn locate(&self, card: usize, address: u64, bytes: usize) -> Result<(u64, Range<usize>), String> {
        let nobody = |address: u64| match self.freed.range(..=address).next_back() {
            Some((start, size)) if address - start < *size => "memory that was freed",
            _ => "no live memory",
        };
        let Some((start, allocation)) = self.live.range(..=address).next_back() else {
            return Err(nobody(address).to_owned());
        };
        let (offset, size) = ((address - start) as usize, allocation.bytes.len());
        if offset as u64 >= size as u64 + GAP / 2 {
            return Err(nobody(address).to_owned());
        }
        if offset > size || bytes > size - offset {
            return Err(format!("reaches {} bytes beyond the {size} bytes at {start:#x}", offset + bytes - size));
        }
        if allocation.card != card {
            return Err(format!("memory of card {}, not of card {card}", allocation.card));
        }
        Ok((*start, offset..offset + bytes))
    }

    fn checked(&self, card: usize, address: u64, bytes: usize, what: &str) -> Result<(u64, Range<usize>), Fault> {
        self.locate(card, address, bytes).map_err(|why| {
            let message = format!("{what}: {bytes} bytes at {address:#x}: {why}");
            Fault::new(StandInStatus::ILLEGAL_ADDRESS, message)
        })
    }

    /// Some bytes.
    pub(crate) fn bytes(&self, card: usize, address: u64, bytes: usize, what: &str) -> Result<&[u8], Fault> {
        if bytes == 0 {
            return Ok(&[]);
        }
        let (start, range) = self.checked(card, address, bytes, what)?;
        Ok(&self.live[&start].bytes[range])
    }

    /// All bytes of the allocation that holds an address, and where it starts.
    pub(crate) fn whole(&self, address: u64) -> Option<(u64, &[u8])> {
        let (start, allocation) = self.live.range(..=address).next_back()?;
        (address - start < allocation.bytes.len() as u64).then_some((*start, &allocation.bytes))
    }

    /// Some bytes, to be written: what was made of them before is forgotten.
    pub(crate) fn bytes_mut(
        &mut self,
        card: usize,
        address: u64,
        bytes: usize,
        what: &str,
    ) -> Result<&mut [u8], Fault> {
        if bytes == 0 {
            return Ok(&mut []);
        }
        let (start, range) = self.checked(card, address, bytes, what)?;
        self.weights.touched(&(address..address + bytes as u64));
        let allocation = self.live.get_mut(&start).ok_or_else(|| Fault::new(StandInStatus::UNKNOWN, "lost"))?;
        Ok(&mut allocation.bytes[range])
    }

    /// Copies between two places, which may be the same allocation.
    pub(crate) fn copy(&mut self, cards: (usize, usize), from: u64, to: u64, bytes: usize) -> Result<(), Fault> {
        let values = self.bytes(cards.0, from, bytes, "copy, source")?.to_vec();
        self.bytes_mut(cards.1, to, bytes, "copy, target")?.copy_from_slice(&values);
        Ok(())
    }

    /// The card that an address belongs to.
    pub(crate) fn card_of(&self, address: u64) -> Option<usize> {
        self.live.range(..=address).next_back().map(|(_, allocation)| allocation.card)
    }

    /// Numbers without gaps, row after row.
    pub(crate) fn read(
        &self,
        card: usize,
        address: u64,
        number: StandInNumber,
        extent: AddressExtent,
        what: &str,
    ) -> Result<Vec<f32>, Fault> {
        let (width, all) = (number.bytes(), extent.span() * number.bytes());
        let bytes = self.bytes(card, address, all, what)?;
        let mut values = vec![0.0; extent.count()];
        if values.is_empty() {
            return Ok(values);
        }
        if extent.stride == extent.cols {
            number.decode(bytes, &mut values);
        } else {
            for (row, values) in values.chunks_exact_mut(extent.cols).enumerate() {
                number.decode(&bytes[row * extent.stride * width..][..extent.cols * width], values);
            }
        }
        Ok(values)
    }

    /// Writes numbers, row after row.
    pub(crate) fn write(
        &mut self,
        card: usize,
        address: u64,
        number: StandInNumber,
        extent: AddressExtent,
        values: &[f32],
        what: &str,
    ) -> Result<(), Fault> {
        let (width, all) = (number.bytes(), extent.span() * number.bytes());
        let bytes = self.bytes_mut(card, address, all, what)?;
        if extent.cols > 0 {
            for (row, values) in values.chunks_exact(extent.cols).enumerate() {
                number.encode(values, &mut bytes[row * extent.stride * width..][..extent.cols * width]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(outcome: Result<&[u8], Fault>) -> String {
        outcome.unwrap_err().message
    }

    #[test]
    fn only_what_is_live_is_reached() {
        let mut memory = StandInMemory::new(2);
        let first = memory.allocate(0, 100, 0xff).unwrap();
        let other = memory.allocate(1, 8, 0).unwrap();
        assert_eq!(memory.bytes(0, first + 96, 4, "x").unwrap(), [0xff; 4]);
        assert_eq!(memory.bytes(1, other, 8, "x").unwrap(), [0; 8]);
        assert!(
            why(memory.bytes(0, first + 97, 4, "x"))
                .ends_with("reaches 1 bytes beyond the 100 bytes at 0x1000000000000")
        );
        assert!(why(memory.bytes(0, other, 8, "x")).ends_with("memory of card 1, not of card 0"));
        assert!(why(memory.bytes(0, 7, 1, "x")).ends_with("no live memory"));
        memory.free(first).unwrap();
        assert!(why(memory.bytes(0, first + 5, 1, "x")).ends_with("memory that was freed"));
        assert!(memory.free(first).unwrap_err().message.ends_with("freed twice"));
        assert!(memory.free(first + 1).unwrap_err().message.ends_with("no allocation"));
        let again = memory.allocate(0, 100, 0xff).unwrap();
        assert_ne!(first, again);
        let totals = memory.totals(0);
        assert_eq!((totals.live, totals.peak, totals.allocations, totals.live_allocations), (100, 100, 2, 1));
    }

    #[test]
    fn rows_with_gaps_leave_the_gaps_alone() {
        let mut memory = StandInMemory::new(1);
        let address = memory.allocate(0, 4 * 8, 0).unwrap();
        let extent = AddressExtent::strided(2, 3, 5);
        memory.write(0, address, StandInNumber::F32, extent, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "x").unwrap();
        let all = memory.read(0, address, StandInNumber::F32, AddressExtent::vector(8), "x").unwrap();
        assert_eq!(all, [1.0, 2.0, 3.0, 0.0, 0.0, 4.0, 5.0, 6.0]);
        assert_eq!(memory.read(0, address, StandInNumber::F32, extent, "x").unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(memory.read(0, address, StandInNumber::F32, AddressExtent::strided(2, 3, 6), "x").is_err());
    }
}
