//! Made-up bytes of stored numbers, as many as wanted, by formula and in parallel.

use afterimage_tensors::{Element, to_f32};
use half::{bf16, f16};
use rayon::prelude::*;
use std::io::{self, Write};

/// Blocks that one thread makes at a time, and tasks at once: together some 16 MB.
const BLOCKS: usize = 8192;
const TASKS: usize = 8;

/// Numbers between −`spread` and `spread` around `centre`, stored as `element`.
pub(super) struct MadeUpNumbers {
    pub element: Element,
    pub centre: f32,
    pub spread: f32,
    pub seed: u64,
}

impl MadeUpNumbers {
    /// Of a tensor: weights have a standard deviation of 1/√(inputs), so that activations keep their size from layer to
    /// layer; norms are near 1, biases near 0.
    pub fn of(name: &str, shape: &[usize], element: Element) -> Self {
        let inputs: usize = shape.iter().skip(1).product();
        let (centre, spread) = match shape.len() {
            0 | 1 if name.ends_with("bias") => (0.0, 0.02),
            0 | 1 => (1.0, 0.05),
            // A uniform distribution of half width √3 has unit variance.
            _ => (0.0, (3.0 / inputs.max(1) as f32).sqrt()),
        };
        // FNV-1a.
        let seed = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { element, centre, spread, seed }
    }

    /// Writes `count` numbers, which are whole blocks.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, count: usize, out: &mut impl Write) -> io::Result<()> {
        let (blocks, size) = (count / self.element.block(), self.element.block_bytes());
        let bytes = self.bytes_by_level();
        let mut buffer = vec![0_u8; size * blocks.min(BLOCKS * TASKS)];
        let mut first = 0;
        while first < blocks {
            let now = &mut buffer[..size * (blocks - first).min(BLOCKS * TASKS)];
            now.par_chunks_mut(size * BLOCKS).enumerate().for_each(|(task, out)| {
                self.fill((first + task * BLOCKS) as u64, &bytes, out);
            });
            out.write_all(now)?;
            first += now.len() / size;
        }
        Ok(())
    }

    /// Fills whole blocks, the first of which is number `first` of the tensor.
    fn fill(&self, first: u64, bytes: &[u8; 256], out: &mut [u8]) {
        let size = self.element.block_bytes();
        let mut random = Splitmix(self.seed ^ first.wrapping_mul(0xd1b5_4a32_d192_ed03));
        let uniform = |bits: u64| self.centre + self.spread * ((bits >> 40) as f32 / (1_u32 << 23) as f32 - 1.0);
        match self.element {
            Element::F32 => {
                out.as_chunks_mut().0.iter_mut().for_each(|to| *to = uniform(random.next()).to_le_bytes());
            }
            Element::Bf16 => out
                .as_chunks_mut()
                .0
                .iter_mut()
                .for_each(|to| *to = bf16::from_f32(uniform(random.next())).to_le_bytes()),
            Element::F16 => out
                .as_chunks_mut()
                .0
                .iter_mut()
                .for_each(|to| *to = f16::from_f32(uniform(random.next())).to_le_bytes()),
            Element::F8E4M3 | Element::F8E5M2 => {
                random.fill(out);
                for byte in out {
                    *byte = bytes[usize::from(*byte)];
                }
            }
            _ => {
                random.fill(out);
                let (scale_at, largest, minimum) = scales(self.element);
                let scale = f16::from_f32(self.spread / largest).to_le_bytes();
                let minimum =
                    minimum.map(|(at, middle)| (at, f16::from_f32(self.spread / largest * middle).to_le_bytes()));
                for block in out.chunks_exact_mut(size) {
                    block[scale_at..scale_at + 2].copy_from_slice(&scale);
                    if let Some((at, minimum)) = minimum {
                        block[at..at + 2].copy_from_slice(&minimum);
                    }
                }
            }
        }
    }

    /// The number of 8 bits that is nearest to each of 256 evenly spaced levels.
    fn bytes_by_level(&self) -> [u8; 256] {
        let mut worth = [f32::NAN; 256];
        if matches!(self.element, Element::F8E4M3 | Element::F8E5M2) {
            let all: [u8; 256] = std::array::from_fn(|byte| byte as u8);
            to_f32(&all, self.element, &mut worth);
        }
        std::array::from_fn(|level| {
            let value = self.centre + self.spread * (level as f32 / 127.5 - 1.0);
            let distance = |byte: &u8| (worth[usize::from(*byte)] - value).abs();
            let finite = (0..=255_u8).filter(|byte| worth[usize::from(*byte)].is_finite());
            finite.min_by(|one, other| distance(one).total_cmp(&distance(other))).unwrap_or_default()
        })
    }
}

/// Of a type with blocks of random bits: where a block's scale stands and how large its numbers get with the scale 1;
/// where its minimum stands, if it has one, and which multiple of the scale it has to be for numbers around 0. Small
/// blocks add their minimum, large ones take it away.
fn scales(element: Element) -> (usize, f32, Option<(usize, f32)>) {
    match element {
        Element::Q4_0 => (0, 8.0, None),
        Element::Q4_1 => (0, 8.0, Some((2, -7.5))),
        Element::Q5_0 => (0, 16.0, None),
        Element::Q5_1 => (0, 16.0, Some((2, -15.5))),
        Element::Q2K => (80, 1.5 * 15.0, Some((82, 1.5))),
        Element::Q3K => (108, 4.0 * 32.0, None),
        Element::Q4K => (0, 7.5 * 63.0, Some((2, 7.5))),
        Element::Q5K => (0, 15.5 * 63.0, Some((2, 15.5))),
        Element::Q6K => (208, 32.0 * 128.0, None),
        _ => (0, 128.0, None),
    }
}

/// splitmix64 (Steele, Lea, Flood 2014).
struct Splitmix(u64);

impl Splitmix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn fill(&mut self, out: &mut [u8]) {
        for to in out.chunks_mut(8) {
            to.copy_from_slice(&self.next().to_le_bytes()[..to.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_type_have_the_size_that_was_asked_for() {
        for element in Element::ALL {
            let numbers = MadeUpNumbers::of("a.weight", &[64, 1024], element);
            let mut bytes = Vec::new();
            numbers.write(64 * 1024, &mut bytes).unwrap();
            let mut values = vec![0.0; 64 * 1024];
            to_f32(&bytes, element, &mut values);
            let count = values.len() as f64;
            let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
            let variance = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / count * 1024.0;
            assert!(mean.abs() < 0.01, "{element:?}: {mean}");
            assert!((0.1..2.0).contains(&variance), "{element:?}: {variance}");
        }
    }

    #[test]
    fn a_tensor_goes_on_from_piece_to_piece() {
        let numbers = MadeUpNumbers::of("a.weight", &[2048, 1024], Element::F16);
        let (mut whole, count) = (Vec::new(), 2 * BLOCKS * TASKS + 5);
        numbers.write(count, &mut whole).unwrap();
        assert_eq!(whole.len(), 2 * count);
        assert_ne!(whole[..100], whole[2 * BLOCKS..2 * BLOCKS + 100]);
        assert_ne!(whole[..100], whole[2 * BLOCKS * TASKS..][..100]);
    }
}
