//! Elementwise operations.

use super::NUMBERS_PER_TASK;
use rayon::prelude::*;

/// √(2/π)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// In place `x · sigmoid(x)`.
pub fn silu(x: &mut [f32]) {
    each(x, |x| x * sigmoid(x));
}

/// In place `x · sigmoid(1.702 x)`, the approximation of GELU that the first CLIP models were trained with.
pub fn quick_gelu(x: &mut [f32]) {
    each(x, |x| x * sigmoid(1.702 * x));
}

/// In place GELU with the tanh approximation (Hendrycks and Gimpel, 2016): `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
pub fn gelu_tanh(x: &mut [f32]) {
    each(x, |x| 0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)).tanh()));
}

/// In place exact GELU: `x/2 · (1 + erf(x / √2))`.
pub fn gelu_erf(x: &mut [f32]) {
    each(x, |x| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)));
}

/// `x += y`
///
/// # Panics
/// When the lengths differ.
pub fn add(x: &mut [f32], y: &[f32]) {
    each_pair(x, y, |x, y| x + y);
}

/// `x *= y`
///
/// # Panics
/// When the lengths differ.
pub fn multiply(x: &mut [f32], y: &[f32]) {
    each_pair(x, y, |x, y| x * y);
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn each(x: &mut [f32], function: impl Fn(f32) -> f32 + Sync) {
    x.par_chunks_mut(NUMBERS_PER_TASK).for_each(|chunk| {
        for value in chunk {
            *value = function(*value);
        }
    });
}

fn each_pair(x: &mut [f32], y: &[f32], function: impl Fn(f32, f32) -> f32 + Sync) {
    assert_eq!(x.len(), y.len(), "operands of one length");
    x.par_chunks_mut(NUMBERS_PER_TASK).zip(y.par_chunks(NUMBERS_PER_TASK)).for_each(|(x, y)| {
        for (x, y) in x.iter_mut().zip(y) {
            *x = function(*x, *y);
        }
    });
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the compared results are exact")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `function` of one number.
    fn of(function: fn(&mut [f32]), x: f32) -> f32 {
        let mut values = [x];
        function(&mut values);
        values[0]
    }

    fn close(found: f32, expected: f32) -> bool {
        (found - expected).abs() <= 1e-6 * expected.abs().max(1.0)
    }

    #[test]
    fn activations_give_torchs_values() {
        // torch.nn.functional.silu, gelu(approximate="tanh"), gelu, and x * sigmoid(1.702 x), torch 2.11, f64.
        for (x, expected) in [
            (-3.0, [-0.142_277_62, -0.003_637_392, -0.004_049_694, -0.018_071_31]),
            (-0.5, [-0.188_770_33, -0.154_286, -0.154_268_77, -0.149_611_56]),
            (0.0, [0.0; 4]),
            (0.7, [0.467_731_44, 0.530_570_1, 0.530_625_44, 0.536_893_95]),
            (4.0, [3.928_055_2, 3.999_929_7, 3.999_873_3, 3.995_585_3]),
        ] {
            let found = [of(silu, x), of(gelu_tanh, x), of(gelu_erf, x), of(quick_gelu, x)];
            assert!(found.iter().zip(expected).all(|(a, b)| close(*a, b)), "{x}: {found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn large_inputs_stay_finite() {
        for function in [silu, quick_gelu, gelu_tanh, gelu_erf] {
            assert_eq!(of(function, 1e10), 1e10);
            assert_eq!(of(function, -1e10), 0.0);
        }
    }

    proptest! {
        #[test]
        fn long_slices_are_added_and_multiplied_elementwise(len in 0_usize..50_000) {
            let x: Vec<f32> = (0..len).map(|index| index as f32).collect();
            let y: Vec<f32> = x.iter().map(|value| value * 0.5).collect();
            let (mut sum, mut product) = (x.clone(), x.clone());
            add(&mut sum, &y);
            multiply(&mut product, &y);
            prop_assert!(x.iter().zip(&sum).all(|(x, sum)| *sum == x * 1.5));
            prop_assert!(x.iter().zip(&product).all(|(x, product)| *product == x * x * 0.5));
        }
    }
}
