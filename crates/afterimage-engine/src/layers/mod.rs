//! Layers that several models are made of: weights on a device, and the operations that use them.

mod adapter;
mod linear;
mod norm;

pub use linear::{Linear, StoredLinear};
pub use norm::LayerNorm;

use crate::weights::Scope;
use afterimage_core::Result;
use afterimage_device::Device;

/// The vector `name` of `len` numbers, on the device.
///
/// # Errors
/// [`afterimage_core::Error::Tensor`] when it is missing or different, and those of the device.
pub fn vector<D: Device>(device: &D, scope: &Scope, name: &str, len: usize) -> Result<D::Buffer> {
    device.upload(scope.vector(name, len)?)
}
