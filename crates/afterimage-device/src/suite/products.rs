//! Matrix products and attention.

use super::agreement::{Case, agree};
use super::placed::{Placed, all, noise, read, vector};
use crate::device::Device;
use crate::operation::{Attention, AttentionBias, Dense, Finish};
use crate::view::View;
use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, Matrix, SharedBytes};
use proptest::prelude::*;

#[derive(Debug)]
struct ProductCase {
    rows: usize,
    inputs: usize,
    outputs: usize,
    x: Placed,
    out: Placed,
    bias: bool,
    finish: usize,
    /// Outputs that are stored as bf16 instead of f32, the matrix being stacked of both.
    halves: usize,
}

impl ProductCase {
    fn weight(&self) -> Result<Matrix> {
        let Self { inputs, outputs, halves, .. } = *self;
        let halves = halves.min(outputs);
        let values = noise(outputs * inputs, 2);
        // The upper half of an f32 is a bf16.
        let upper = values[..halves * inputs].iter().flat_map(|value| value.to_le_bytes()[2..].to_vec());
        let upper = Matrix::new(SharedBytes::new(upper.collect::<Vec<u8>>()), Element::Bf16, halves, inputs);
        let lower = Matrix::from_f32(&values[halves * inputs..], outputs - halves, inputs);
        upper.and_then(|upper| Matrix::stack(&[upper, lower])).ok_or_else(|| Error::internal("no matrix"))
    }
}

impl Case for ProductCase {
    const TOLERANCE: f32 = 5e-5;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let (from, to) = ([self.rows, self.inputs], [self.rows, self.outputs]);
        let x = self.x.buffer(device, from, 1)?;
        let weight = device.weight(&self.weight()?)?;
        let (bias, gate) = (vector(device, self.outputs, 3)?, vector(device, self.outputs, 4)?);
        let mut out = self.out.buffer(device, to, 5)?;
        let layer = Dense { weight: &weight, bias: self.bias.then(|| all(&bias)) };
        let finish = match self.finish {
            0 => Finish::Store,
            1 => Finish::GeluTanh,
            2 => Finish::Add,
            _ => Finish::AddGated(all(&gate)),
        };
        device.product(self.x.view(&x, from), layer, finish, self.out.view_mut(&mut out, to))?;
        read(device, &out)
    }
}

/// [`Device::product`]: every finish, with and without bias, few and many rows, deeper than one slab, mixed stored types.
///
/// # Panics
/// When the device differs.
pub fn products<D: Device>(device: &D) {
    let sizes = (1..70_usize, prop_oneof![1..90_usize, Just(513), Just(1025)], 1..140_usize);
    let places = (Placed::any(), Placed::any());
    let cases = (sizes, places, any::<bool>(), 0..4_usize, 0..40_usize).prop_map(
        |((rows, inputs, outputs), (x, out), bias, finish, halves)| ProductCase {
            rows,
            inputs,
            outputs,
            x,
            out,
            bias,
            finish,
            halves,
        },
    );
    agree(device, &cases);
}

#[derive(Debug)]
struct Attend {
    queries: usize,
    keys: usize,
    heads: usize,
    head_dim: usize,
    places: [Placed; 4],
    bias: usize,
}

impl Case for Attend {
    const TOLERANCE: f32 = 5e-5;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let width = self.heads * self.head_dim;
        let (from, to) = ([self.keys, width], [self.queries, width]);
        let [place_q, place_k, place_v, place_out] = self.places;
        let (q, k) = (place_q.buffer(device, to, 21)?, place_k.buffer(device, from, 22)?);
        let (v, mut out) = (place_v.buffer(device, from, 23)?, place_out.buffer(device, to, 24)?);
        let (offset, gated) = (vector(device, self.keys, 25)?, vector(device, self.keys, 26)?);
        let gate = vector(device, self.queries, 27)?;
        // Key 0 stays for everybody; some of the others are out of sight.
        let tables = if self.bias == 3 { self.heads } else { 1 };
        let pairs = noise(tables * self.keys * self.queries, 28).into_iter().enumerate().map(|(index, value)| {
            let hidden = value > 0.5 && !(index / self.queries).is_multiple_of(self.keys);
            if hidden { f32::NEG_INFINITY } else { value }
        });
        let pairs = device.upload(pairs.collect())?;
        let bias = match self.bias {
            0 => AttentionBias::None,
            1 => AttentionBias::Keys { offset: all(&offset), gated: all(&gated), gate: all(&gate) },
            _ => AttentionBias::Pairs(View::new(&pairs, tables * self.keys, self.queries)),
        };
        let attention = Attention {
            heads: self.heads,
            scale: 1.5 / (self.head_dim as f32).sqrt(),
            queries: place_q.view(&q, to),
            keys: place_k.view(&k, from),
            values: place_v.view(&v, from),
            bias,
        };
        device.attention(attention, place_out.view_mut(&mut out, to))?;
        read(device, &out)
    }
}

/// [`Device::attention`]: every bias, head widths from 1 on, more keys than one block.
///
/// # Panics
/// When the device differs.
pub fn attentions<D: Device>(device: &D) {
    let sizes = (1..70_usize, prop_oneof![1..70_usize, 260..300_usize], 1..4_usize);
    let head_dim = prop_oneof![1..40_usize, Just(64), Just(72), Just(128)];
    let places = [Placed::any(), Placed::any(), Placed::any(), Placed::any()];
    let cases = (sizes, head_dim, places, 0..4_usize).prop_map(|((queries, keys, heads), head_dim, places, bias)| {
        Attend { queries, keys, heads, head_dim, places, bias }
    });
    agree(device, &cases);
}
