//! Linear layers, on the host as they are stored and on a device.

use crate::weights::Scope;
use afterimage_core::{Error, Result};
use afterimage_device::{Dense, Device, Finish, MatrixShape, Precision, View, ViewMut};
use afterimage_tensors::Matrix;
use std::ops::Range;

/// A linear layer as its file holds it. Stacking and cutting copy nothing.
#[derive(Clone, Debug)]
pub struct StoredLinear {
    weight: Matrix,
    bias: Option<Vec<f32>>,
}

impl StoredLinear {
    /// Reads `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when one is missing or different.
    pub fn read(scope: &Scope, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = scope.matrix("weight", outputs, inputs)?;
        Ok(Self { weight, bias: Some(scope.vector("bias", outputs)?) })
    }

    /// Reads `weight` `[outputs, inputs]`; there is no bias.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or different.
    pub fn read_without_bias(scope: &Scope, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self { weight: scope.matrix("weight", outputs, inputs)?, bias: None })
    }

    /// Reads `weight` of `shape`, the kernel of a convolution that moves by its own size, and `bias` if there is to be one: a
    /// linear layer over unfolded patches.
    ///
    /// # Errors
    /// [`Error::Tensor`] when one is missing or different.
    pub fn read_patches(scope: &Scope, shape: &[usize], with_bias: bool) -> Result<Self> {
        let weight = scope.kernel("weight", shape)?;
        let bias = with_bias.then(|| scope.vector("bias", weight.rows())).transpose()?;
        Ok(Self { weight, bias })
    }

    /// The outputs of `layers`, which read the same input, side by side: one product instead of several.
    ///
    /// # Errors
    /// [`Error::Internal`] when their inputs differ.
    pub fn stack(layers: &[Self]) -> Result<Self> {
        let weights: Vec<Matrix> = layers.iter().map(|layer| layer.weight.clone()).collect();
        let weight = Matrix::stack(&weights).ok_or_else(|| Error::internal("layers of different inputs"))?;
        let bias: Option<Vec<&[f32]>> = layers.iter().map(|layer| layer.bias.as_deref()).collect();
        Ok(Self { weight, bias: bias.map(|parts| parts.concat()) })
    }

    /// The layer that computes only the outputs in `range`.
    #[must_use]
    pub fn outputs(&self, range: Range<usize>) -> Self {
        Self { weight: self.weight.row_range(range.clone()), bias: self.bias.as_ref().map(|bias| bias[range].to_vec()) }
    }

    /// The layer on a device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn upload<D: Device>(self, device: &D) -> Result<Linear<D>> {
        let bias = self.bias.map(|bias| device.upload(bias)).transpose()?;
        Ok(Linear { weight: device.weight(&self.weight)?, bias })
    }
}

/// `y = x · weightᵀ + bias` (torch's `nn.Linear`).
pub struct Linear<D: Device> {
    weight: D::Weight,
    bias: Option<D::Buffer>,
}

impl<D: Device> Linear<D> {
    /// Reads `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when one is missing or different, and those of the device.
    pub fn load(device: &D, scope: &Scope, inputs: usize, outputs: usize) -> Result<Self> {
        StoredLinear::read(scope, inputs, outputs)?.upload(device)
    }

    /// `x [rows, inputs]`, finished into `out [rows, outputs]`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn apply_into(
        &self,
        device: &D,
        x: View<D::Buffer>,
        finish: Finish<D::Buffer>,
        out: ViewMut<D::Buffer>,
    ) -> Result<()> {
        let bias = self.bias.as_ref().map(|bias| View::vector(bias, 0, self.weight.rows()));
        device.product(x, Dense { weight: &self.weight, bias }, finish, out)
    }

    /// `x [rows, inputs]`, finished into a new `[rows, outputs]`, which the finish must not read.
    ///
    /// # Errors
    /// Those of the device.
    pub fn apply(
        &self,
        device: &D,
        x: View<D::Buffer>,
        finish: Finish<D::Buffer>,
        precision: Precision,
    ) -> Result<D::Buffer> {
        let outputs = self.weight.rows();
        let mut out = device.allocate(x.rows * outputs, precision)?;
        self.apply_into(device, x, finish, ViewMut::new(&mut out, x.rows, outputs))?;
        Ok(out)
    }

    /// Adds the layer's output for `x [rows, inputs]` to `out [rows, outputs]` without gaps.
    ///
    /// # Errors
    /// Those of the device.
    pub fn add_to(&self, device: &D, x: View<D::Buffer>, out: &mut D::Buffer) -> Result<()> {
        self.apply_into(device, x, Finish::Add, ViewMut::new(out, x.rows, self.weight.rows()))
    }
}
