//! Norms, rotation and group norms.

use super::agreement::{Case, agree};
use super::placed::{Placed, all, noise, read, vector};
use crate::device::Device;
use crate::operation::{GroupNorm, HeadNorm, Norm};
use crate::view::Planes;
use afterimage_core::Result;
use proptest::prelude::*;

#[derive(Debug)]
struct Normalise {
    shape: [usize; 2],
    x: Placed,
    out: Placed,
    kind: usize,
}

impl Case for Normalise {
    const TOLERANCE: f32 = 5e-5;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let x = self.x.buffer(device, self.shape, 41)?;
        let (weight, bias) = (vector(device, self.shape[1], 42)?, vector(device, self.shape[1], 43)?);
        let mut out = self.out.buffer(device, self.shape, 44)?;
        let norm = match self.kind {
            0 => Norm::Layer { weight: all(&weight), bias: all(&bias) },
            1 => Norm::Modulated { scale: all(&weight), shift: all(&bias) },
            _ => Norm::Rms { weight: all(&weight) },
        };
        device.norm(self.x.view(&x, self.shape), norm, 1e-3, self.out.view_mut(&mut out, self.shape))?;
        read(device, &out)
    }
}

/// [`Device::norm`]: every kind, more rows than one task has.
///
/// # Panics
/// When the device differs.
pub fn norms<D: Device>(device: &D) {
    let shape = (prop_oneof![1..40_usize, Just(300)], prop_oneof![1..90_usize, Just(301)]);
    let cases = (shape, Placed::any(), Placed::any(), 0..3_usize).prop_map(|((rows, cols), x, out, kind)| Normalise {
        shape: [rows, cols],
        x,
        out,
        kind,
    });
    agree(device, &cases);
}

#[derive(Debug)]
struct RotateCase {
    tokens: usize,
    heads: usize,
    half_dim: usize,
    first: usize,
    x: Placed,
}

impl Case for RotateCase {
    const TOLERANCE: f32 = 5e-5;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let dim = 2 * self.half_dim;
        let shape = [self.tokens, self.heads * dim];
        let angles = noise((self.first + self.tokens + 1) * self.half_dim, 51);
        let angles: Vec<f64> = angles.into_iter().map(|angle| f64::from(angle) * 30.0).collect();
        let (rotary, weight) = (device.rotary(&angles, dim)?, vector(device, dim, 52)?);
        let mut x = self.x.buffer(device, shape, 53)?;
        let norm = HeadNorm { weight: all(&weight), epsilon: 1e-3, rotary: &rotary, first_token: self.first };
        device.rotate_heads(norm, self.x.view_mut(&mut x, shape))?;
        read(device, &x)
    }
}

/// [`Device::rotate_heads`]: any head width, tokens from the middle of the table on.
///
/// # Panics
/// When the device differs.
pub fn rotations<D: Device>(device: &D) {
    let cases = (1..80_usize, 1..5_usize, 1..40_usize, 0..6_usize, Placed::any())
        .prop_map(|(tokens, heads, half_dim, first, x)| RotateCase { tokens, heads, half_dim, first, x });
    agree(device, &cases);
}

#[derive(Debug)]
struct Grouped {
    groups: usize,
    per_group: usize,
    height: usize,
    width: usize,
    mean: f32,
    out: Placed,
}

impl Case for Grouped {
    const TOLERANCE: f32 = 3e-5;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let channels = self.groups * self.per_group;
        let values = noise(channels * self.height * self.width, 61).into_iter().map(|value| value + self.mean);
        let input = device.upload(values.collect())?;
        let (weight, bias) = (vector(device, channels, 62)?, vector(device, channels, 63)?);
        let mut out = self.out.buffer(device, [2, channels], 64)?;
        let input = Planes { buffer: &input, channels, height: self.height, width: self.width };
        let norm = GroupNorm { groups: self.groups, weight: all(&weight), bias: all(&bias), epsilon: 1e-3, input };
        device.group_norm(norm, self.out.view_mut(&mut out, [2, channels]))?;
        read(device, &out)
    }
}

/// [`Device::group_norm`]: also far from zero, where a careless variance cancels.
///
/// # Panics
/// When the device differs.
pub fn group_norms<D: Device>(device: &D) {
    let sizes = (1..5_usize, 1..5_usize, 1..12_usize, 1..12_usize);
    let cases = (sizes, prop_oneof![Just(0.0_f32), Just(20.0)], Placed::any()).prop_map(
        |((groups, per_group, height, width), mean, out)| Grouped { groups, per_group, height, width, mean, out },
    );
    agree(device, &cases);
}
