//! Matrices somewhere in a buffer.

use crate::device::Device;
use crate::view::{DeviceBuffer, View, ViewMut};
use afterimage_core::Result;
use proptest::prelude::*;

/// Numbers in −1..1 that look random and are the same every time.
pub(super) fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Where a matrix lies: `offset` numbers into its buffer, rows with a `gap` between them, the last row cut after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    offset: usize,
    gap: usize,
}

impl Placed {
    pub fn any() -> impl Strategy<Value = Self> {
        (0..9_usize, prop_oneof![Just(0), 0..9_usize]).prop_map(|(offset, gap)| Self { offset, gap })
    }

    /// A buffer of noise that ends with the matrix.
    pub fn buffer<D: Device>(self, device: &D, [rows, cols]: [usize; 2], seed: u32) -> Result<D::Buffer> {
        device.upload(noise(self.offset + (rows - 1) * (cols + self.gap) + cols, seed))
    }

    pub fn view<B>(self, buffer: &B, [rows, cols]: [usize; 2]) -> View<'_, B> {
        View::new(buffer, rows, cols).at(self.offset).strided(cols + self.gap)
    }

    pub fn view_mut<B>(self, buffer: &mut B, [rows, cols]: [usize; 2]) -> ViewMut<'_, B> {
        ViewMut::new(buffer, rows, cols).at(self.offset).strided(cols + self.gap)
    }
}

/// A vector of noise in a buffer of its own.
pub(super) fn vector<D: Device>(device: &D, len: usize, seed: u32) -> Result<D::Buffer> {
    device.upload(noise(len, seed))
}

/// A whole vector.
pub(super) fn all<B: DeviceBuffer>(buffer: &B) -> View<'_, B> {
    View::vector(buffer, 0, buffer.len())
}

/// Every number of a buffer.
pub(super) fn read<D: Device>(device: &D, buffer: &D::Buffer) -> Result<Vec<f32>> {
    let mut values = vec![0.0; buffer.len()];
    device.read(all(buffer), &mut values)?;
    Ok(values)
}
