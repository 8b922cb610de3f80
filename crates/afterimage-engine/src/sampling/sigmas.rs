//! Noise levels of the sampling steps, as diffusers' `FlowMatchEulerDiscreteScheduler` computes them for FLUX.

use crate::config::SchedulerConfig;

/// `steps` falling noise levels from 1 and a final 0, shifted as `config` says. `image_tokens` are those of the latents
/// alone.
///
/// The base is `linspace(1, 1/steps, steps)` in f64, rounded to f32; the shift is in f32 as numpy computes it.
pub fn sigmas(config: &SchedulerConfig, image_tokens: usize, steps: u32) -> Vec<f32> {
    let base = linspace(steps).map(|sigma| sigma as f32);
    let mut sigmas: Vec<f32> = if config.use_dynamic_shifting {
        let factor = log_shift(config, image_tokens).exp() as f32;
        base.map(|sigma| factor / (factor + (1.0 / sigma - 1.0))).collect()
    } else {
        let shift = config.shift;
        base.map(|sigma| (shift as f32 * sigma) / (1.0 + (shift - 1.0) as f32 * sigma)).collect()
    };
    sigmas.push(0.0);
    sigmas
}

/// What the transformer is told at each of `sigmas`: the timestep over 1000, which is the sigma itself (up to rounding)
/// when the training schedule has FLUX's 1000 steps. diffusers scales by the schedule's length in the scheduler and
/// divides by 1000 in the pipeline, whatever that length is.
pub fn timesteps(config: &SchedulerConfig, sigmas: &[f32]) -> Vec<f32> {
    let length = config.num_train_timesteps as f32;
    sigmas.iter().map(|sigma| sigma * length / 1000.0).collect()
}

/// The `mu` of diffusers' `calculate_shift`: linear in the number of image tokens and, as published, not limited.
pub fn log_shift(config: &SchedulerConfig, image_tokens: usize) -> f64 {
    let (base, max) = (config.base_image_seq_len as f64, config.max_image_seq_len as f64);
    let slope = (config.max_shift - config.base_shift) / (max - base);
    let intercept = config.base_shift - slope * base;
    image_tokens as f64 * slope + intercept
}

/// First step that image-to-image runs of `steps`: `int(max(steps − min(steps · strength, steps), 0))` in f64, so that
/// rounding falls as in diffusers. Equal to `steps` when the strength leaves nothing to run.
pub fn img2img_start(steps: u32, strength: f64) -> u32 {
    let steps = f64::from(steps);
    (steps - (steps * strength).min(steps)).max(0.0) as u32
}

/// Noise levels for refining an enlarged picture: the last `strength` (above 0 to 1) of a schedule, in as many steps as
/// image-to-image runs of `steps`.
///
/// Two things differ from image-to-image. The shift is that of the small picture's `image_tokens`: the shift grows with
/// the picture without end, at 4 megapixels so far that a strength of 0.35 would start from 93 % noise and draw the
/// picture anew. And the strength holds however few steps are asked for, where image-to-image of one step always starts
/// from pure noise.
pub fn refining_sigmas(config: &SchedulerConfig, image_tokens: usize, steps: u32, strength: f64) -> Vec<f32> {
    let run = (f64::from(steps) * strength).ceil().max(1.0);
    let length = (run / strength).round().max(run);
    let schedule = sigmas(config, image_tokens, length as u32);
    schedule[(length - run) as usize..].to_vec()
}

/// numpy's `linspace(1, 1/steps, steps)`: the last number is the end itself.
fn linspace(steps: u32) -> impl Iterator<Item = f64> {
    let end = 1.0 / f64::from(steps);
    let step = (end - 1.0) / f64::from(steps.saturating_sub(1).max(1));
    (0..steps).map(move |index| if index > 0 && index + 1 == steps { end } else { f64::from(index) * step + 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    /// Lists made with diffusers 0.42.1 by `tests/fixtures/make_sampling.py`.
    const FIXTURE: &str = include_str!("../../tests/fixtures/sigmas.json");

    #[derive(Deserialize)]
    struct Fixture {
        schedules: Vec<Sigmas>,
        starts: Vec<Start>,
    }

    #[derive(Deserialize)]
    struct Sigmas {
        shift: f64,
        dynamic: bool,
        image_tokens: usize,
        steps: u32,
        #[serde(rename = "sigmas")]
        values: Vec<f32>,
    }

    #[derive(Deserialize)]
    struct Start {
        steps: u32,
        strength: f64,
        #[serde(rename = "start")]
        first: u32,
    }

    fn fixture() -> Fixture {
        serde_json::from_str(FIXTURE).unwrap()
    }

    fn close(found: &[f32], expected: &[f32]) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-7)
    }

    #[test]
    fn sigmas_are_those_of_diffusers() {
        let cases = fixture().schedules;
        assert!(cases.len() > 30);
        let mut equal = 0;
        for case in &cases {
            let config =
                SchedulerConfig { shift: case.shift, use_dynamic_shifting: case.dynamic, ..SchedulerConfig::default() };
            let found = sigmas(&config, case.image_tokens, case.steps);
            assert!(
                close(&found, &case.values),
                "{} steps, {} tokens: {found:?}, expected {:?}",
                case.steps,
                case.image_tokens,
                case.values
            );
            equal += usize::from(found == case.values);
        }
        assert_eq!(equal, cases.len(), "lists that agree in every bit");
    }

    #[test]
    fn published_values() {
        let dev = SchedulerConfig::flux_dev();
        let at = |size: usize, steps| sigmas(&dev, (size / 16).pow(2), steps);
        assert!(close(&at(1024, 28)[..4], &[1.0, 0.988_408_6, 0.976_222_5, 0.963_394_4]));
        assert!(close(&at(1024, 28)[26..], &[0.195_454_6, 0.104_720_9, 0.0]));
        assert!(close(&at(512, 4), &[1.0, 0.849_234_8, 0.652_489_4, 0.384_944_7, 0.0]));
        assert!(close(&at(2048, 28)[26..], &[0.660_394_1, 0.483_546_7, 0.0]));
        assert!((log_shift(&dev, 4080) - 1.147_291_666_7).abs() < 1e-9);
        assert!((log_shift(&dev, 16_384) - 3.23).abs() < 1e-9, "not limited above 4096 tokens");
    }

    #[test]
    fn timesteps_follow_the_length_of_the_training_schedule() {
        let of = |length| {
            let config = SchedulerConfig { num_train_timesteps: length, ..SchedulerConfig::flux_dev() };
            timesteps(&config, &[1.0, 0.5, 0.25])
        };
        assert_eq!(of(1000), [1.0, 0.5, 0.25]);
        assert_eq!(of(500), [0.5, 0.25, 0.125]);
    }

    #[test]
    fn image_to_image_starts_where_diffusers_does() {
        let starts = fixture().starts;
        assert!(starts.len() > 500);
        for case in &starts {
            assert_eq!(
                img2img_start(case.steps, case.strength),
                case.first,
                "{} steps, strength {}",
                case.steps,
                case.strength
            );
        }
    }

    #[test]
    fn refining_starts_at_its_strength_whatever_the_steps() {
        // Without a shift a noise level is the strength itself.
        let plain = SchedulerConfig::default();
        for (steps, expected_steps) in [(1, 1), (4, 2), (28, 10), (50, 18)] {
            let levels = refining_sigmas(&plain, 256, steps, 0.35);
            assert_eq!(levels.len() - 1, expected_steps, "{steps} steps");
            assert!((levels[0] - 0.35).abs() < 0.03, "{steps} steps start at {}", levels[0]);
        }
        let dev = SchedulerConfig::flux_dev();
        assert_eq!(refining_sigmas(&dev, 256, 28, 1.0), sigmas(&dev, 256, 28));
    }

    proptest! {
        #[test]
        fn refining_falls_to_zero(steps in 1_u32..=50, strength in 0.01_f64..=1.0) {
            let levels = refining_sigmas(&SchedulerConfig::flux_dev(), 256, steps, strength);
            prop_assert!(levels.len() >= 2 && levels.last() == Some(&0.0));
            prop_assert!(levels.windows(2).all(|pair| pair[0] > pair[1]));
        }

        #[test]
        fn sigmas_fall_from_one_to_zero(steps in 1_u32..=50, image_tokens in 1_usize..70_000, dynamic: bool) {
            let config = SchedulerConfig { use_dynamic_shifting: dynamic, ..SchedulerConfig::flux_dev() };
            let sigmas = sigmas(&config, image_tokens, steps);
            prop_assert_eq!(sigmas.len(), steps as usize + 1);
            prop_assert_eq!((sigmas[0], sigmas[steps as usize]), (1.0, 0.0));
            prop_assert!(sigmas.windows(2).all(|pair| pair[0] > pair[1]));
        }

        #[test]
        fn a_start_is_never_beyond_the_end(steps in 1_u32..=50, strength in 0.0_f64..=1.0) {
            prop_assert!(img2img_start(steps, strength) <= steps);
        }
    }
}
