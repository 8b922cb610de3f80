//! Noise between two noises.

/// `from` turned towards `to` by `strength`, 0..=1, of the angle between them: Shoemake's spherical interpolation
/// (SIGGRAPH 1985). Unlike a plain mean it keeps the length that noise has and the model expects. 0 gives `from` and 1 `to`,
/// to the bit.
pub fn spherical_mix(from: &[f32], to: &[f32], strength: f64) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(from, from) * dot(to, to)).sqrt();
    let angle = if lengths > 0.0 { (dot(from, to) / lengths).clamp(-1.0, 1.0).acos() } else { 0.0 };
    let whole = angle.sin();
    let factors = if strength <= 0.0 {
        [1.0, 0.0]
    } else if strength >= 1.0 {
        [0.0, 1.0]
    } else if whole < 1e-6 {
        // The same direction, or opposite ones, between which every way is as long.
        [1.0 - strength, strength]
    } else {
        [((1.0 - strength) * angle).sin() / whole, (strength * angle).sin() / whole]
    };
    let [left, right] = factors;
    from.iter().zip(to).map(|(from, to)| (left * f64::from(*from) + right * f64::from(*to)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::TorchGenerator;
    use super::*;
    use proptest::prelude::*;

    fn length(values: &[f32]) -> f64 {
        values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn the_way_is_an_arc() {
        let half = spherical_mix(&[1.0, 0.0], &[0.0, 1.0], 0.5);
        let expected = std::f32::consts::FRAC_1_SQRT_2;
        assert!(half.iter().all(|value| (value - expected).abs() < 1e-7), "{half:?}");
        let third = spherical_mix(&[2.0, 0.0], &[0.0, 2.0], 1.0 / 3.0);
        assert!((third[0] - 3.0_f32.sqrt()).abs() < 1e-6 && (third[1] - 1.0).abs() < 1e-6, "{third:?}");
    }

    #[test]
    fn degenerate_directions_stay_finite() {
        for (from, to) in [([1.0, 2.0], [1.0, 2.0]), ([1.0, 0.0], [-1.0, 0.0]), ([0.0, 0.0], [1.0, 0.0])] {
            assert!(spherical_mix(&from, &to, 0.3).iter().all(|value| value.is_finite()));
        }
        assert_eq!(spherical_mix(&[1.0, 2.0], &[1.0, 2.0], 0.3), [1.0, 2.0]);
    }

    proptest! {
        #[test]
        fn noise_stays_as_long_and_goes_further_the_stronger(seed: u32, strength in 0.05_f64..0.95) {
            let from = TorchGenerator::new(u64::from(seed)).randn_f32(4096);
            let to = TorchGenerator::new(u64::from(seed) + 1).randn_f32(4096);
            prop_assert_eq!(&spherical_mix(&from, &to, 0.0), &from);
            prop_assert_eq!(&spherical_mix(&from, &to, 1.0), &to);
            let distance = |strength| {
                let mixed = spherical_mix(&from, &to, strength);
                (length(&mixed), length(&mixed.iter().zip(&from).map(|(a, b)| a - b).collect::<Vec<_>>()))
            };
            let ((near_length, near), (_, far)) = (distance(strength), distance(strength + 0.05));
            prop_assert!(near < far, "{} {}", near, far);
            prop_assert!((near_length / 64.0 - 1.0).abs() < 0.1, "{}", near_length);
        }
    }
}
