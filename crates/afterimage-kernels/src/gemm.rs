//! Matrix products with weights in their stored type.

use crate::matrix::Matrix;

/// `x [rows, cols] · weightᵀ + bias`, a new vector `[rows, weight.rows()]`.
///
/// # Panics
/// When `x` is not a whole number of rows of `weight.cols()`, or `bias` is not `weight.rows()` long.
pub fn linear(x: &[f32], weight: &Matrix, bias: Option<&[f32]>) -> Vec<f32> {
    crate::plain::linear(x, weight, bias)
}
