//! Copies, gathers, quantisation, elementwise operations and magnitudes.

use super::agreement::{Case, agree};
use super::placed::{Placed, noise, read};
use crate::device::{Device, Precision};
use crate::operation::{Activation, Combine};
use crate::view::{View, ViewMut};
use afterimage_core::Result;
use afterimage_tensors::Matrix;
use proptest::prelude::*;

#[derive(Debug)]
struct Copy {
    shape: [usize; 2],
    x: Placed,
    out: Placed,
}

impl Case for Copy {
    const TOLERANCE: f32 = 0.0;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let [rows, cols] = self.shape;
        let mut x = self.x.buffer(device, self.shape, 11)?;
        device.write(&noise(rows * cols, 12), self.x.view_mut(&mut x, self.shape))?;
        let mut out = self.out.buffer(device, self.shape, 13)?;
        device.copy(self.x.view(&x, self.shape), self.out.view_mut(&mut out, self.shape))?;
        let mut inside = vec![0.0; rows * cols];
        device.read(self.out.view(&out, self.shape), &mut inside)?;
        // A fresh room, written to the end.
        let mut fresh = device.allocate(rows * cols, Precision::Exact)?;
        device.copy(self.out.view(&out, self.shape), ViewMut::new(&mut fresh, rows, cols))?;
        Ok([read(device, &x)?, read(device, &out)?, inside, read(device, &fresh)?].concat())
    }
}

/// [`Device::write`], [`Device::copy`] and [`Device::read`] between any strides.
///
/// # Panics
/// When the device differs.
pub fn copies<D: Device>(device: &D) {
    let cases = (1..60_usize, 1..60_usize, Placed::any(), Placed::any()).prop_map(|(rows, cols, x, out)| Copy {
        shape: [rows, cols],
        x,
        out,
    });
    agree(device, &cases);
}

#[derive(Debug)]
struct Gather {
    table: [usize; 2],
    ids: Vec<u32>,
    out: Placed,
}

impl Case for Gather {
    const TOLERANCE: f32 = 0.0;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let [rows, cols] = self.table;
        let table = device.weight(&Matrix::from_f32(&noise(rows * cols, 14), rows, cols))?;
        let ids: Vec<u32> = self.ids.iter().map(|id| id % rows as u32).collect();
        let shape = [ids.len(), cols];
        let mut out = self.out.buffer(device, shape, 15)?;
        device.gather(&table, &ids, self.out.view_mut(&mut out, shape))?;
        read(device, &out)
    }
}

/// [`Device::gather`]: rows in any order, some of them often.
///
/// # Panics
/// When the device differs.
pub fn gathers<D: Device>(device: &D) {
    let ids = proptest::collection::vec(any::<u32>(), 1..40);
    let cases = (1..30_usize, 1..60_usize, ids, Placed::any()).prop_map(|(rows, cols, ids, out)| Gather {
        table: [rows, cols],
        ids,
        out,
    });
    agree(device, &cases);
}

#[derive(Debug)]
struct Quantise {
    shape: [usize; 2],
    x: Placed,
    out: Placed,
    zeros: bool,
}

impl Case for Quantise {
    // A number halfway between two integers may become either: half a step of 1/127 of at most 1 apart.
    const TOLERANCE: f32 = 8e-3;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let mut x = self.x.buffer(device, self.shape, 16)?;
        if self.zeros {
            device.write(&vec![0.0; self.shape[1]], self.x.view_mut(&mut x, [1, self.shape[1]]))?;
        }
        let rows = device.quantise_rows(self.x.view(&x, self.shape))?;
        let mut out = self.out.buffer(device, self.shape, 17)?;
        device.dequantise_rows(&rows, self.out.view_mut(&mut out, self.shape))?;
        read(device, &out)
    }
}

/// [`Device::quantise_rows`] and back, with rows of zeros; not further from where it came than half a step.
///
/// # Panics
/// When the device differs.
pub fn quantised_rows<D: Device>(device: &D) {
    let cases = (1..40_usize, 1..90_usize, Placed::any(), Placed::any(), any::<bool>())
        .prop_map(|(rows, cols, x, out, zeros)| Quantise { shape: [rows, cols], x, out, zeros });
    agree(device, &cases);
}

#[derive(Debug)]
struct Activate {
    shape: [usize; 2],
    x: Placed,
    function: Activation,
}

impl Case for Activate {
    const TOLERANCE: f32 = 2e-6;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let mut x = self.x.buffer(device, self.shape, 18)?;
        let values = noise(self.shape[0] * self.shape[1], 19).into_iter().map(|value| 8.0 * value);
        device.write(&values.collect::<Vec<_>>(), self.x.view_mut(&mut x, self.shape))?;
        device.activate(self.function, self.x.view_mut(&mut x, self.shape))?;
        read(device, &x)
    }
}

/// [`Device::activate`]: every function; more numbers than one task has.
///
/// # Panics
/// When the device differs.
pub fn activations<D: Device>(device: &D) {
    let function = prop_oneof![
        Just(Activation::Silu),
        Just(Activation::QuickGelu),
        Just(Activation::Gelu),
        Just(Activation::GeluTanh),
        Just(Activation::Relu)
    ];
    let cases = (prop_oneof![1..40_usize, Just(700)], 1..60_usize, Placed::any(), function)
        .prop_map(|(rows, cols, x, function)| Activate { shape: [rows, cols], x, function });
    agree(device, &cases);
}

#[derive(Debug)]
struct Magnitudes {
    shape: [usize; 2],
    x: Placed,
    y: Placed,
    out: Placed,
}

impl Case for Magnitudes {
    const TOLERANCE: f32 = 1e-5;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let (x, y) = (self.x.buffer(device, self.shape, 33)?, self.y.buffer(device, self.shape, 34)?);
        let mut out = self.out.buffer(device, [1, 2], 35)?;
        let (x, y) = (self.x.view(&x, self.shape), self.y.view(&y, self.shape));
        device.magnitudes(x, y, self.out.view_mut(&mut out, [1, 2]))?;
        read(device, &out)
    }
}

/// [`Device::magnitudes`], of more rows than one task has, too.
///
/// # Panics
/// When the device differs.
pub fn magnitudes<D: Device>(device: &D) {
    let rows = prop_oneof![1..40_usize, Just(700)];
    let cases = (rows, 1..60_usize, Placed::any(), Placed::any(), Placed::any())
        .prop_map(|(rows, cols, x, y, out)| Magnitudes { shape: [rows, cols], x, y, out });
    agree(device, &cases);
}

#[derive(Debug)]
struct Join {
    shape: [usize; 2],
    x: Placed,
    y: Placed,
    one_row: bool,
    how: Combine,
}

impl Case for Join {
    const TOLERANCE: f32 = 1e-6;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let other = [if self.one_row { 1 } else { self.shape[0] }, self.shape[1]];
        let y = self.y.buffer(device, other, 31)?;
        let mut x = self.x.buffer(device, self.shape, 32)?;
        let y: View<D::Buffer> = self.y.view(&y, other);
        device.combine(self.how, y, self.x.view_mut(&mut x, self.shape))?;
        read(device, &x)
    }
}

/// [`Device::combine`]: row by row, and one row into all.
///
/// # Panics
/// When the device differs.
pub fn combinations<D: Device>(device: &D) {
    let how = prop_oneof![
        Just(Combine::Multiply),
        Just(Combine::Add { factor: 1.0 }),
        (-2.0..2.0_f32).prop_map(|factor| Combine::Add { factor })
    ];
    let rows = prop_oneof![1..40_usize, Just(700)];
    let cases = (rows, 1..60_usize, Placed::any(), Placed::any(), any::<bool>(), how)
        .prop_map(|(rows, cols, x, y, one_row, how)| Join { shape: [rows, cols], x, y, one_row, how });
    agree(device, &cases);
}
