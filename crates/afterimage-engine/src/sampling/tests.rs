//! Noise and noise levels against the numbers that Python diffusers recorded.

use super::*;
use crate::config::SchedulerConfig;
use crate::parity::{cases, relative_difference};

#[test]
fn noise_is_drawn_in_diffusers_order() {
    for case in cases() {
        let expected = case.tensor("noise").unwrap();
        let mut generator = TorchGenerator::new(case.flag("--seed").unwrap().parse().unwrap());
        if case.flag("--strength").is_some() {
            // Image-to-image samples the VAE's posterior first, once for all pictures.
            let found = generator.randn_f32(expected.shape[1..].iter().product());
            if let Some(expected) = case.tensor("vae_sample_noise") {
                assert!(found.iter().zip(&expected.values).all(|(a, b)| (a - b).abs() <= 1e-6), "{}", case.name);
            }
        }
        let found = generator.randn_f32(expected.values.len());
        let largest = found.iter().zip(&expected.values).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        println!("{} noise: {largest:.1e}", case.name);
        assert!(largest <= 1e-6, "{}: {largest:e}", case.name);
    }
}

#[test]
fn sigmas_are_those_that_ran() {
    for case in cases() {
        let config = SchedulerConfig::read(&case.folder("base").folder("scheduler")).unwrap();
        let steps: u32 = case.flag("--steps").unwrap().parse().unwrap();
        let start = case.flag("--strength").map_or(0, |strength| img2img_start(steps, strength.parse().unwrap()));
        let noise = &case.tensor("noise").unwrap().shape;
        let found = sigmas(&config, noise[2] * noise[3] / 4, steps);
        let expected = &case.tensor("sigmas").unwrap().values;
        // Recorded from the timesteps, which are sigmas × 1000: the last bit may differ.
        let difference = relative_difference(&found[start as usize..], expected);
        println!("{} sigmas: {difference:.1e}", case.name);
        assert!(difference <= 1e-6, "{}: {difference:e}", case.name);
    }
}
