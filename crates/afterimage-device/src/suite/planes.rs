//! Convolutions, pooling and transpositions.

use super::agreement::{Case, agree};
use super::placed::{Placed, all, noise, read, vector};
use crate::device::Device;
use crate::operation::{Convolution, Movement, Prelude, Transpose};
use crate::view::{Planes, View, ViewMut};
use afterimage_core::Result;
use afterimage_tensors::Matrix;
use proptest::prelude::*;

#[derive(Debug)]
struct Convolve {
    channels: usize,
    outputs: usize,
    kernel: usize,
    height: usize,
    width: usize,
    movement: Movement,
    prelude: bool,
    add: bool,
}

impl Case for Convolve {
    const TOLERANCE: f32 = 5e-5;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let Self { channels, outputs, kernel, height, width, movement, .. } = *self;
        let inputs = channels * kernel * kernel;
        let weight = device.weight(&Matrix::from_f32(&noise(outputs * inputs, 71), outputs, inputs))?;
        let (bias, affine) = (vector(device, outputs, 72)?, vector(device, 2 * channels, 73)?);
        let input = vector(device, channels * height * width, 74)?;
        let pixels = movement.output_side(height) * movement.output_side(width);
        let mut out = vector(device, outputs * pixels, 75)?;
        let prelude = if self.prelude { Prelude::AffineSilu(View::new(&affine, 2, channels)) } else { Prelude::None };
        let convolution = Convolution { weight: &weight, bias: all(&bias), kernel, movement, prelude, add: self.add };
        let input = Planes { buffer: &input, channels, height, width };
        device.convolve(convolution, input, ViewMut::new(&mut out, outputs, pixels))?;
        read(device, &out)
    }
}

/// [`Device::convolve`]: every movement, kernels of 1, 3, 5 and 7, with prelude and residual, wider than one tile.
///
/// # Panics
/// When the device differs.
pub fn convolutions<D: Device>(device: &D) {
    let channels = prop_oneof![1..9_usize, Just(50)];
    let sizes = (channels, 1..15_usize, 2..12_usize, prop_oneof![2..20_usize, Just(67)]);
    let movement =
        prop_oneof![Just(Movement::Same), Just(Movement::Halve), Just(Movement::Strided), Just(Movement::Double)];
    let kernel = prop_oneof![Just(1_usize), Just(3), Just(5), Just(7)];
    let cases = (sizes, movement, kernel, any::<bool>(), any::<bool>()).prop_map(
        |((channels, outputs, height, width), movement, kernel, prelude, add)| {
            // The autoencoder halves with kernels of 3 only.
            let kernel = if movement == Movement::Halve { 3 } else { kernel };
            Convolve { channels, outputs, kernel, height, width, movement, prelude, add }
        },
    );
    agree(device, &cases);
}

#[derive(Debug)]
struct PoolCase {
    channels: usize,
    height: usize,
    width: usize,
    out: Placed,
}

impl Case for PoolCase {
    const TOLERANCE: f32 = 0.0;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let Self { channels, height, width, out: place } = *self;
        let input = vector(device, channels * height * width, 76)?;
        let shape = [channels, (height / 2) * (width / 2)];
        let mut out = place.buffer(device, shape, 77)?;
        device.max_pool(Planes { buffer: &input, channels, height, width }, place.view_mut(&mut out, shape))?;
        read(device, &out)
    }
}

/// [`Device::max_pool`]: sides odd and even, down to one pixel.
///
/// # Panics
/// When the device differs.
pub fn poolings<D: Device>(device: &D) {
    let cases = (1..9_usize, 1..20_usize, prop_oneof![1..20_usize, Just(67)], Placed::any())
        .prop_map(|(channels, height, width, out)| PoolCase { channels, height, width, out });
    agree(device, &cases);
}

#[derive(Debug)]
struct Turn {
    shape: [usize; 2],
    x: Placed,
    out: Placed,
    affine: bool,
    add: bool,
}

impl Case for Turn {
    const TOLERANCE: f32 = 1e-6;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let [rows, cols] = self.shape;
        let x = self.x.buffer(device, self.shape, 81)?;
        let affine = vector(device, 2 * rows, 82)?;
        let mut out = self.out.buffer(device, [cols, rows], 83)?;
        let affine = self.affine.then(|| View::new(&affine, 2, rows));
        let transpose = Transpose { input: self.x.view(&x, self.shape), affine, add: self.add };
        device.transpose(transpose, self.out.view_mut(&mut out, [cols, rows]))?;
        read(device, &out)
    }
}

/// [`Device::transpose`]: with and without scale and shift, stored and added.
///
/// # Panics
/// When the device differs.
pub fn transpositions<D: Device>(device: &D) {
    let cases = (1..50_usize, 1..50_usize, Placed::any(), Placed::any(), any::<bool>(), any::<bool>())
        .prop_map(|(rows, cols, x, out, affine, add)| Turn { shape: [rows, cols], x, out, affine, add });
    agree(device, &cases);
}
