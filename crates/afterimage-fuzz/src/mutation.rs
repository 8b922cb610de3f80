//! Random changes of inputs.

use fastrand::Rng;

/// Inputs do not grow beyond this.
const LONGEST: usize = 1 << 16;

/// Numbers at which arithmetic goes wrong.
const EDGES: [u64; 12] =
    [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0xffff_ffff_ffff_ffff];

/// Makes inputs of seeds.
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    random: Rng,
}

impl Mutator {
    pub fn new(seeds: Vec<Vec<u8>>, seed: u64) -> Self {
        Self { seeds, random: Rng::with_seed(seed) }
    }

    /// A seed with one to eight changes.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.seeds[self.random.usize(..self.seeds.len())].clone();
        for _ in 0..self.random.usize(1..=8) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.usize(..=input.len());
        match self.random.u8(..9) {
            0 | 1 if at < input.len() => input[at] ^= 1 << self.random.u8(..8),
            2 if at < input.len() => input[at] = self.random.u8(..),
            3 => input.insert(at, self.random.u8(..)),
            4 => {
                let range = self.range(input.len());
                input.drain(range);
            }
            5 => {
                let copy = input[self.range(input.len())].to_vec();
                input.splice(at..at, copy);
            }
            6 => {
                let other = &self.seeds[self.random.usize(..self.seeds.len())];
                let length = self.random.usize(..=other.len().min(64));
                let from = self.random.usize(..=other.len() - length);
                let end = if self.random.bool() { at } else { input.len().min(at + length) };
                let part = other[from..from + length].to_vec();
                input.splice(at..end, part);
            }
            7 => self.write_edge(input, at),
            8 if self.random.u8(..8) == 0 => input.truncate(at),
            _ => {}
        }
    }

    /// A short range, sometimes a long one.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.random.usize(..=length);
        let most = if self.random.u8(..8) == 0 { length - start } else { (length - start).min(16) };
        start..start + self.random.usize(..=most)
    }

    /// Overwrites a number of 1 to 8 bytes, in either order.
    fn write_edge(&mut self, input: &mut [u8], at: usize) {
        let size = 1 << self.random.usize(..4);
        let Some(place) = input.get_mut(at..at + size) else { return };
        let number = EDGES[self.random.usize(..EDGES.len())].wrapping_add(self.random.u64(..3)).wrapping_sub(1);
        if self.random.bool() {
            place.copy_from_slice(&number.to_le_bytes()[..size]);
        } else {
            place.copy_from_slice(&number.to_be_bytes()[8 - size..]);
        }
    }
}
