//! Normal random numbers equal to those of `torch.Generator("cpu")`.
//!
//! Torch draws from MT19937 (Matsumoto and Nishimura, 1998) and turns uniform numbers into normal ones with Box and
//! Muller's transform. Tensors of 16 numbers and more take a vectorised path in f32 over blocks of 16; smaller ones take
//! a scalar path in f64 that keeps the second number of a pair for the next call
//! (`aten/src/ATen/native/cpu/DistributionTemplates.h`).

use rayon::prelude::*;

/// Numbers of one block of the vectorised path: eight cosines, then eight sines.
const BLOCK: usize = 16;
/// Blocks whose transform repays handing them to another thread.
const BLOCKS_PER_TASK: usize = 1024;

/// The random numbers of `torch.Generator("cpu").manual_seed(seed)`.
#[derive(Clone, Debug)]
pub struct TorchGenerator {
    engine: MersenneTwister,
    /// The second number of the last pair of the scalar path.
    kept: Option<f64>,
}

impl TorchGenerator {
    /// A generator in the state that `manual_seed(seed)` leaves. Only the lower 32 bits of `seed` matter.
    pub fn new(seed: u64) -> Self {
        Self { engine: MersenneTwister::new(seed as u32), kept: None }
    }

    /// The numbers of `torch.randn(count, generator=…)` in f32, within 1e-6. Later calls continue the stream.
    ///
    /// One call for n numbers and two calls for n/2 give different numbers unless both are multiples of 16.
    pub fn randn_f32(&mut self, count: usize) -> Vec<f32> {
        if count < BLOCK {
            return (0..count).map(|_| self.normal_f64() as f32).collect();
        }
        let mut values: Vec<f32> = (0..count).map(|_| self.uniform_f32()).collect();
        let (blocks, rest) = values.as_chunks_mut::<BLOCK>();
        // Drawing is serial, the transform of what is drawn is not.
        blocks.par_iter_mut().with_min_len(BLOCKS_PER_TASK).for_each(box_muller);
        if !rest.is_empty() {
            // Torch draws the last 16 anew and overwrites the end of the last whole block with them.
            let last: &mut [f32] = &mut values[count - BLOCK..];
            let mut block = std::array::from_fn(|_| self.uniform_f32());
            box_muller(&mut block);
            last.copy_from_slice(&block);
        }
        values
    }

    /// 24 random bits as a number in 0..1.
    fn uniform_f32(&mut self) -> f32 {
        (self.engine.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// 53 random bits of two draws, the first of them the upper half, as a number in 0..1.
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.engine.next_u32());
        let low = u64::from(self.engine.next_u32());
        ((high << 32 | low) & ((1 << 53) - 1)) as f64 / (1_u64 << 53) as f64
    }

    fn normal_f64(&mut self) -> f64 {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        let angle = std::f64::consts::TAU * self.uniform_f64();
        let radius = (-2.0 * (-self.uniform_f64()).ln_1p()).sqrt();
        self.kept = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

/// Box and Muller's transform of 16 uniform numbers as torch pairs them: number j with number j + 8.
fn box_muller(block: &mut [f32; BLOCK]) {
    for index in 0..BLOCK / 2 {
        // 1 − u is in 0 < … <= 1, so that the logarithm is finite.
        let radius = (-2.0 * (1.0 - block[index]).ln()).sqrt();
        let (sine, cosine) = (std::f32::consts::TAU * block[index + BLOCK / 2]).sin_cos();
        block[index] = radius * cosine;
        block[index + BLOCK / 2] = radius * sine;
    }
}

/// The 32-bit Mersenne Twister, MT19937.
#[derive(Clone, Debug)]
struct MersenneTwister {
    state: [u32; Self::SIZE],
    /// Next word of the state to give out; at the end of the state a new one is made first.
    next: usize,
}

impl MersenneTwister {
    /// Words of the state.
    const SIZE: usize = 624;
    /// Distance of the words that are mixed into each other.
    const MIDDLE: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [seed; Self::SIZE];
        for index in 1..Self::SIZE {
            let previous = state[index - 1];
            state[index] = 1_812_433_253_u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(index as u32);
        }
        Self { state, next: Self::SIZE }
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == Self::SIZE {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn twist(&mut self) {
        let wrapped = |index: usize| if index < Self::SIZE { index } else { index - Self::SIZE };
        for index in 0..Self::SIZE {
            let mixed = (self.state[index] & 0x8000_0000) | (self.state[wrapped(index + 1)] & 0x7fff_ffff);
            // All ones or all zeros: the bit is random, so a branch on it would be mispredicted half of the time.
            let odd = (mixed & 1).wrapping_neg() & 0x9908_b0df;
            self.state[index] = self.state[wrapped(index + Self::MIDDLE)] ^ (mixed >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// Streams made with torch 2.11 by `tests/fixtures/make_sampling.py`.
    const FIXTURE: &str = include_str!("../../tests/fixtures/noise.json");

    #[derive(Deserialize)]
    struct Stream {
        seed: u64,
        draws: Vec<Draw>,
    }

    /// One `torch.randn(count)`: the numbers at some positions.
    #[derive(Deserialize)]
    struct Draw {
        count: usize,
        positions: Vec<usize>,
        values: Vec<f32>,
    }

    #[test]
    fn every_stream_is_torchs() {
        let streams: Vec<Stream> = serde_json::from_str(FIXTURE).unwrap();
        assert!(streams.len() >= 8);
        let mut largest = 0.0_f32;
        for stream in &streams {
            let mut generator = TorchGenerator::new(stream.seed);
            for (number, draw) in stream.draws.iter().enumerate() {
                let found = generator.randn_f32(draw.count);
                assert_eq!(found.len(), draw.count);
                for (position, expected) in draw.positions.iter().zip(&draw.values) {
                    let difference = (found[*position] - expected).abs();
                    largest = largest.max(difference);
                    assert!(
                        difference <= 1e-6,
                        "seed {}, draw {number} of {}, number {position}: {}, expected {expected}",
                        stream.seed,
                        draw.count,
                        found[*position]
                    );
                }
            }
        }
        println!("largest difference from torch: {largest:e}");
    }

    #[test]
    fn mersenne_twister_gives_its_published_ten_thousandth_number() {
        // The C++ standard requires this of `std::mt19937` ([rand.predef]).
        let mut engine = MersenneTwister::new(5489);
        let last = (0..10_000).map(|_| engine.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn only_the_lower_half_of_the_seed_matters() {
        let draw = |seed| TorchGenerator::new(seed).randn_f32(32);
        assert_eq!(draw(7), draw(7 + (3 << 32)));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn nothing_is_drawn_for_no_numbers() {
        let mut generator = TorchGenerator::new(3);
        assert!(generator.randn_f32(0).is_empty());
        assert_eq!(generator.randn_f32(16), TorchGenerator::new(3).randn_f32(16));
    }
}
