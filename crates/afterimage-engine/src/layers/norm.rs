//! Layer norm with learned weights.

use super::vector;
use crate::weights::Scope;
use afterimage_core::Result;
use afterimage_device::{Device, Norm, Precision, View, ViewMut};

/// A learned layer norm (torch's `nn.LayerNorm`).
pub struct LayerNorm<D: Device> {
    weight: D::Buffer,
    bias: D::Buffer,
    width: usize,
    epsilon: f32,
}

impl<D: Device> LayerNorm<D> {
    /// Reads `weight` and `bias` `[width]`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Tensor`] when one is missing or different, and those of the device.
    pub fn load(device: &D, scope: &Scope, width: usize, epsilon: f32) -> Result<Self> {
        let [weight, bias] = ["weight", "bias"].map(|name| vector(device, scope, name, width));
        Ok(Self { weight: weight?, bias: bias?, width, epsilon })
    }

    /// `x [rows, width]`, normalised into a new buffer.
    ///
    /// # Errors
    /// Those of the device.
    pub fn apply(&self, device: &D, x: View<D::Buffer>, precision: Precision) -> Result<D::Buffer> {
        let mut out = device.allocate(x.rows * self.width, precision)?;
        let [weight, bias] = [&self.weight, &self.bias].map(|vector| View::vector(vector, 0, self.width));
        device.norm(x, Norm::Layer { weight, bias }, self.epsilon, ViewMut::new(&mut out, x.rows, self.width))?;
        Ok(out)
    }
}
