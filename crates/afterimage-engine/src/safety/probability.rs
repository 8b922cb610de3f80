//! From logits to a probability.

/// Softmax of `logits` at `index`; NaN when any of them is no number or infinite, as a network that overflows makes them:
/// of those, a quotient may still be one.
pub(super) fn softmax(logits: &[f32], index: usize) -> f64 {
    if logits.iter().any(|logit| !logit.is_finite()) {
        return f64::NAN;
    }
    let odds = |logit: f32| (f64::from(logit) - f64::from(logits[index])).exp();
    1.0 / logits.iter().map(|logit| odds(*logit)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_definition() {
        // exp(1) / (exp(1) + exp(-1)), and a third of three.
        assert!((softmax(&[-1.0, 1.0], 1) - 0.880_797_077_977_882_4).abs() < 1e-15);
        assert!((softmax(&[7.0; 3], 2) - 1.0 / 3.0).abs() < 1e-15);
        assert!(softmax(&[3e38, -3e38], 1) >= 0.0);
    }

    #[test]
    fn overflow_is_no_probability() {
        for logits in [[f32::INFINITY, 0.0], [0.0, f32::INFINITY], [f32::NAN, 0.0], [f32::NEG_INFINITY, 0.0]] {
            assert!(softmax(&logits, 1).is_nan() && softmax(&logits, 0).is_nan(), "{logits:?}");
        }
    }
}
