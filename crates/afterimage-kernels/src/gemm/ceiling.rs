//! How fast this machine is now: what benchmarks compare with.

use super::shape::{Finish, Narrow, Rows, RowsMut, Term};
use super::sum_on;
use crate::simd::Isa;
use afterimage_tensors::{Element, Matrix, SharedBytes};
use rayon::prelude::*;
use std::time::Instant;

/// Bytes that are copied: far more than any cache holds.
const COPIED: usize = 256 << 20;
/// Each figure is the best of so many.
const ROUNDS: usize = 4;

/// The fastest that this crate's products and copies are, with the threads that there are. Products in billions of
/// operations a second, a multiply-add being two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Products of f32.
    pub f32: f64,
    /// Products of bf16, where these are faster.
    pub bf16: Option<f64>,
    /// Products of 8-bit integers in groups of 32 ([`Element::Q8_0`]).
    pub int8: f64,
    /// Billions of bytes that are read or written a second while memory is copied.
    pub copy: f64,
}

impl Ceilings {
    /// The better of two measurements: the machine may be shared.
    #[must_use]
    pub fn or_better(self, other: Self) -> Self {
        let best = |one: Option<f64>, other: Option<f64>| one.zip(other).map(|(one, other)| one.max(other));
        Self {
            f32: self.f32.max(other.f32),
            bf16: best(self.bf16, other.bf16),
            int8: self.int8.max(other.int8),
            copy: self.copy.max(other.copy),
        }
    }
}

/// Measures with products of `size`³ multiply-adds; `size` is a multiple of 32.
pub fn measure_ceilings(size: usize) -> Ceilings {
    let size = size.next_multiple_of(32);
    let isa = Isa::detect();
    let floats = Matrix::from_f32(&vec![0.25; size * size], size, size);
    let exact = product(&floats, Narrow::default());
    let bf16 = isa.has_bf16().then(|| product(&floats, Narrow { integers: false, bf16: true }));
    drop(floats);
    // A block: the factor 2⁻⁹ and ones.
    let block: Vec<u8> = [0x00, 0x18].into_iter().chain([1; 32]).collect();
    let blocks = SharedBytes::new(block.repeat(size * size / 32));
    let integers = Matrix::new(blocks, Element::Q8_0, size, size);
    let int8 = integers.map_or(0.0, |weight| product(&weight, Narrow { integers: true, bf16: false }));
    Ceilings { f32: exact, bf16, int8, copy: copy() }
}

/// Billions of operations a second of the square product with `weight`.
fn product(weight: &Matrix, narrow: Narrow) -> f64 {
    let size = weight.rows();
    let x = vec![0.5_f32; size * size];
    let mut out = vec![0.0_f32; size * size];
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let term = Term { x: Rows { data: &x, rows: size, stride: size }, weight };
        let target = RowsMut { data: &mut out, stride: size };
        sum_on(Isa::detect(), narrow, &[term], None, Finish::Store, target);
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (size as f64).powi(3) / best / 1e9
}

/// Billions of bytes a second, those read and those written.
fn copy() -> f64 {
    let from = vec![1_u8; COPIED];
    let mut to = vec![0_u8; COPIED];
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        to.par_chunks_mut(1 << 20).zip(from.par_chunks(1 << 20)).for_each(|(to, from)| to.copy_from_slice(from));
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * COPIED as f64 / best / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ceiling_is_a_speed() {
        let found = measure_ceilings(64);
        assert!(found.f32 > 0.0 && found.int8 > 0.0 && found.copy > 0.0, "{found:?}");
        assert_eq!(found.bf16.is_some(), Isa::detect().has_bf16());
        let lower = Ceilings { f32: 1.0, bf16: None, int8: found.int8 + 1.0, copy: 0.0 };
        let best = found.or_better(lower);
        assert!(best.int8 > found.int8 && best.copy >= found.copy && best.bf16.is_none(), "{best:?}");
    }
}
