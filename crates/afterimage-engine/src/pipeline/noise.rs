//! The noise that every picture starts from.

use crate::sampling::{TorchGenerator, spherical_mix};
use afterimage_core::VariationSeed;

/// The generators of one request.
pub(super) struct Noise {
    own: TorchGenerator,
    near: Option<Near>,
}

/// A second noise, towards which the first is turned.
struct Near {
    other: TorchGenerator,
    strength: f64,
}

/// One picture's noise, for each of its passes.
pub(super) struct PictureNoise {
    pub first: Vec<f32>,
    /// Empty where there is no second pass.
    pub second: Vec<f32>,
}

impl Noise {
    /// Noise of `seed`, turned towards that of `variation` whose own seed is `other_seed`.
    pub fn new(seed: u64, variation: Option<VariationSeed>, other_seed: Option<u64>) -> Self {
        let near = variation
            .zip(other_seed)
            .map(|(VariationSeed { strength, .. }, seed)| Near { other: TorchGenerator::new(seed), strength });
        Self { own: TorchGenerator::new(seed), near }
    }

    /// The request's own generator, of which the posterior's noise is drawn before anything else.
    pub fn own(&mut self) -> &mut TorchGenerator {
        &mut self.own
    }

    /// Noise of `pictures` pictures, of `numbers` for each of their passes. One draw for everything: each picture's passes,
    /// then the next picture's, so that the first of several pictures is the only one of one. Near another seed every
    /// picture has the first one's noise, turned towards noise of its own.
    pub fn draw(&mut self, pictures: usize, numbers: [usize; 2]) -> Vec<PictureNoise> {
        let count = numbers[0] + numbers[1];
        let split =
            |noise: &[f32]| PictureNoise { first: noise[..numbers[0]].to_vec(), second: noise[numbers[0]..].to_vec() };
        match &mut self.near {
            None => self.own.randn_f32(pictures * count).chunks_exact(count).map(split).collect(),
            Some(Near { other, strength }) => {
                let own = split(&self.own.randn_f32(count));
                let turned = |noise: PictureNoise| PictureNoise {
                    first: spherical_mix(&own.first, &noise.first, *strength),
                    second: spherical_mix(&own.second, &noise.second, *strength),
                };
                other.randn_f32(pictures * count).chunks_exact(count).map(|noise| turned(split(noise))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [usize; 2] = [32, 64];

    fn drawn(seed: u64, near: Option<(u64, f64)>, pictures: usize) -> Vec<[Vec<f32>; 2]> {
        let variation = near.map(|(_, strength)| VariationSeed { seed: None, strength });
        let mut noise = Noise::new(seed, variation, near.map(|(seed, _)| seed));
        noise.draw(pictures, NUMBERS).into_iter().map(|noise| [noise.first, noise.second]).collect()
    }

    #[test]
    fn the_first_of_several_is_the_only_one_of_one() {
        for near in [None, Some((9, 0.25))] {
            let several = drawn(7, near, 3);
            assert_eq!(several[..1], drawn(7, near, 1));
            assert!(several[0] != several[1] && several[1] != several[2]);
        }
    }

    #[test]
    fn the_ends_of_the_way_are_the_two_seeds() {
        let own = drawn(7, None, 1).remove(0);
        assert_eq!(drawn(7, Some((9, 0.0)), 3), [own.clone(), own.clone(), own], "all at the first one's");
        assert_eq!(drawn(7, Some((9, 1.0)), 3), drawn(9, None, 3));
    }
}
