//! Functions of one number, in f64.

use crate::operation::Activation;

pub(super) fn apply(function: Activation, x: f32) -> f32 {
    let x = f64::from(x);
    let value = match function {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::Relu if x < 0.0 => 0.0,
        Activation::Relu => x,
    };
    value as f32
}
