//! Functions of one number and of two.

use super::rows::{each, each_pair};
use crate::host::HostBuffer;
use crate::operation::{Activation, Combine};
use crate::view::{View, ViewMut};

/// √(2/π)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

pub(super) fn activate(function: Activation, x: ViewMut<HostBuffer>) {
    match function {
        Activation::Silu => map(x, |x| x * sigmoid(x)),
        Activation::QuickGelu => map(x, |x| x * sigmoid(1.702 * x)),
        Activation::Gelu => map(x, |x| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))),
        Activation::GeluTanh => {
            map(x, |x| 0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)).tanh()));
        }
        // Not `max`, which would turn NaN into 0.
        Activation::Relu => map(x, |x| if x < 0.0 { 0.0 } else { x }),
    }
}

pub(super) fn combine(how: Combine, y: View<HostBuffer>, x: ViewMut<HostBuffer>) {
    match how {
        Combine::Add { factor } => each_pair(x, y, |x, y| {
            for (x, y) in x.iter_mut().zip(y) {
                *x += factor * y;
            }
        }),
        Combine::Multiply => each_pair(x, y, |x, y| {
            for (x, y) in x.iter_mut().zip(y) {
                *x *= y;
            }
        }),
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn map(x: ViewMut<HostBuffer>, function: impl Fn(f32) -> f32 + Sync) {
    each(x, |piece| {
        for value in piece {
            *value = function(*value);
        }
    });
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the compared results are exact")]
mod tests {
    use super::*;

    const ALL: [Activation; 4] = [Activation::Silu, Activation::GeluTanh, Activation::Gelu, Activation::QuickGelu];

    /// `function` of one number.
    fn of(function: Activation, x: f32) -> f32 {
        let mut values = HostBuffer(vec![x]);
        activate(function, ViewMut::new(&mut values, 1, 1));
        values.0[0]
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
            let found = ALL.map(|function| of(function, x));
            assert!(found.iter().zip(expected).all(|(a, b)| close(*a, b)), "{x}: {found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn relu_keeps_what_is_no_number() {
        assert_eq!([-1.5, 0.0, 2.5].map(|x| of(Activation::Relu, x)), [0.0, 0.0, 2.5]);
        assert!(of(Activation::Relu, f32::NAN).is_nan());
    }

    #[test]
    fn large_inputs_stay_finite() {
        for function in ALL {
            assert_eq!(of(function, 1e10), 1e10);
            assert_eq!(of(function, -1e10), 0.0);
        }
    }
}
