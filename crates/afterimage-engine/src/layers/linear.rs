//! A linear layer with its weight in stored type.

use crate::weights::Scope;
use afterimage_core::Result;
use afterimage_kernels::gemm::{Finish, Rows, RowsMut, linear, linear_into};
use afterimage_tensors::Matrix;
use std::ops::Range;

/// `y = x · weightᵀ + bias`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Matrix,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Reads `name.weight` `[outputs, inputs]` and `name.bias` `[outputs]`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Tensor`] when one is missing or different.
    pub fn load(scope: &Scope, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: scope.matrix(&format!("{name}.weight"), outputs, inputs)?,
            bias: Some(scope.vector(&format!("{name}.bias"), outputs)?),
        })
    }

    /// The layer that computes only the outputs in `range`, sharing the weight.
    #[must_use]
    pub fn outputs(&self, range: Range<usize>) -> Self {
        Self { weight: self.weight.row_range(range.clone()), bias: self.bias.as_ref().map(|bias| bias[range].to_vec()) }
    }

    /// `[rows, inputs]` to a new `[rows, outputs]`.
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        linear(x, &self.weight, self.bias.as_deref())
    }

    /// `x` `[rows, inputs]` without gaps, finished into rows of `out`, `out_stride` numbers apart.
    pub fn apply_into(&self, x: &[f32], finish: Finish, out: &mut [f32], out_stride: usize) {
        let stride = self.weight.cols();
        let rows = Rows { data: x, rows: x.len() / stride.max(1), stride };
        linear_into(rows, &self.weight, self.bias.as_deref(), finish, RowsMut { data: out, stride: out_stride });
    }
}
