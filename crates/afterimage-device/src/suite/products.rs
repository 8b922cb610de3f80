//! Matrix products and attention.

use super::agreement::{Case, agree};
use super::placed::{Placed, all, noise, read, vector};
use crate::device::Device;
use crate::operation::{Attention, AttentionBias, Dense, Finish, LowRank};
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
    /// Of what an adapter adds; 0: there is none.
    rank: usize,
    /// Outputs that are stored as `element` instead of f32, the matrix being stacked of both.
    other: usize,
    element: Element,
}

impl ProductCase {
    fn weight(&self) -> Result<Matrix> {
        let Self { inputs, outputs, other, element, .. } = *self;
        let other = other.min(outputs);
        let values = noise(outputs * inputs, 2);
        let upper = stored(element, &values[..other * inputs]);
        let upper = Matrix::new(SharedBytes::new(upper), element, other, inputs);
        let lower = Matrix::from_f32(&values[other * inputs..], outputs - other, inputs);
        upper.and_then(|upper| Matrix::stack(&[upper, lower])).ok_or_else(|| Error::internal("no matrix"))
    }
}

/// Numbers of about the size of `values`, stored as `element`: their upper bits, or blocks of random bits whose scales
/// are moderate. Which numbers those are, a decoder of its own is tested for; here every device has to find the same.
fn stored(element: Element, values: &[f32]) -> Vec<u8> {
    // Where a block's scales (f16) stand, and how small the group's largest scale makes them.
    let (scales, high): (&[usize], u8) = match element {
        // The upper half of an f32 is a bf16.
        Element::Bf16 => return values.iter().flat_map(|value| value.to_le_bytes()[2..].to_vec()).collect(),
        Element::F32 => return values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        // Exponents below the largest.
        Element::F8E4M3 | Element::F8E5M2 => {
            return values.iter().map(|value| (value * 128.0) as i8 as u8 & 0xb7).collect();
        }
        Element::F16 => (&[0], 0x2c),
        Element::Q8_0 | Element::Q4_0 | Element::Q5_0 | Element::Iq4Nl => (&[0], 0x1c),
        Element::Q4_1 | Element::Q5_1 => (&[0, 2], 0x1c),
        Element::Q4K | Element::Q5K => (&[0, 2], 0x04),
        Element::Q2K => (&[80, 82], 0x10),
        Element::Q3K => (&[108], 0x08),
        Element::Q6K => (&[208], 0x04),
    };
    let size = element.block_bytes();
    let mut bytes: Vec<u8> = values
        .iter()
        .map(|value| (value * 128.0) as i8 as u8)
        .cycle()
        .take(values.len() / element.block() * size)
        .collect();
    for block in bytes.chunks_exact_mut(size) {
        for at in scales {
            block[at + 1] = high;
        }
    }
    bytes
}

impl Case for ProductCase {
    const TOLERANCE: f32 = 5e-5;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let (from, to) = ([self.rows, self.inputs], [self.rows, self.outputs]);
        let x = self.x.buffer(device, from, 1)?;
        let weight = device.weight(&self.weight()?)?;
        let (bias, gate) = (vector(device, self.outputs, 3)?, vector(device, self.outputs, 4)?);
        let mut out = self.out.buffer(device, to, 5)?;
        let factor = |rows, cols, seed, scale: f32| {
            let values: Vec<f32> = noise(rows * cols, seed).iter().map(|value| scale * value).collect();
            device.weight(&Matrix::from_f32(&values, rows, cols))
        };
        let (down, up) = (factor(self.rank, self.inputs, 6, 1.0)?, factor(self.outputs, self.rank, 7, 0.125)?);
        let low_rank = (self.rank > 0).then_some(LowRank { down: &down, up: &up });
        let layer = Dense { weight: &weight, bias: self.bias.then(|| all(&bias)), low_rank };
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

/// [`Device::product`]: every finish, with and without bias, few and many rows, deeper than one slab, every stored type beside f32,
/// with and without what an adapter adds.
///
/// # Panics
/// When the device differs.
pub fn products<D: Device>(device: &D) {
    let sizes = (1..70_usize, prop_oneof![1..90_usize, Just(513), Just(1025)], 1..140_usize);
    let places = (Placed::any(), Placed::any());
    let kinds = (0..40_usize, prop::sample::select(&Element::ALL[..]));
    let ranks = prop_oneof![Just(0), 1..40_usize, Just(520)];
    let cases = (sizes, places, any::<bool>(), (0..4_usize, ranks), kinds).prop_map(
        |((rows, inputs, outputs), (x, out), bias, (finish, rank), (other, element))| ProductCase {
            rows,
            // Rows are whole blocks.
            inputs: inputs.next_multiple_of(element.block()),
            outputs,
            x,
            out,
            bias,
            finish,
            rank,
            other,
            element,
        },
    );
    agree(device, &cases);
}

#[derive(Debug)]
struct IntegerProduct {
    rows: usize,
    blocks: usize,
    outputs: usize,
    x: Placed,
    out: Placed,
    bias: bool,
    finish: usize,
}

impl IntegerProduct {
    /// Integers of which those of a row have one factor.
    fn weight(&self) -> Result<Matrix> {
        let inputs = 32 * self.blocks;
        let integers = noise(self.outputs * inputs, 42);
        let mut bytes = Vec::new();
        for (number, block) in integers.as_chunks::<32>().0.iter().enumerate() {
            // Factors of 2⁻⁷ and a little, f16, another one for each row.
            bytes.extend([(number / self.blocks % 200) as u8, 0x20]);
            bytes.extend(block.iter().map(|value| (value * 127.0) as i8 as u8));
        }
        let matrix = Matrix::new(SharedBytes::new(bytes), Element::Q8_0, self.outputs, inputs);
        matrix.ok_or_else(|| Error::internal("no matrix"))
    }
}

impl Case for IntegerProduct {
    // A number halfway between two integers may become either, a step of 1/127 apart.
    const TOLERANCE: f32 = 8e-3;

    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let (from, to) = ([self.rows, 32 * self.blocks], [self.rows, self.outputs]);
        // What is rounded already is the same however the product rounds it.
        let (x, mut rounded) = (self.x.buffer(device, from, 40)?, self.x.buffer(device, from, 41)?);
        let rows = device.quantise_rows(self.x.view(&x, from))?;
        device.dequantise_rows(&rows, self.x.view_mut(&mut rounded, from))?;
        let weight = device.weight(&self.weight()?)?;
        let (bias, gate) = (vector(device, self.outputs, 43)?, vector(device, self.outputs, 44)?);
        let mut out = self.out.buffer(device, to, 45)?;
        let layer = Dense { weight: &weight, bias: self.bias.then(|| all(&bias)), low_rank: None };
        let finish = match self.finish {
            0 => Finish::Store,
            1 => Finish::GeluTanh,
            2 => Finish::Add,
            _ => Finish::AddGated(all(&gate)),
        };
        device.product(self.x.view(&rounded, from), layer, finish, self.out.view_mut(&mut out, to))?;
        read(device, &out)
    }
}

/// [`Device::product`] of rows and weights that are integers with one factor a row, as a device may multiply them
/// ([`Device::wants_rows_of_integers`]): few and many rows, every finish.
///
/// # Panics
/// When the device differs.
pub fn integer_products<D: Device>(device: &D) {
    let sizes = (1..70_usize, 2..20_usize, 1..140_usize);
    let cases = (sizes, Placed::any(), Placed::any(), any::<bool>(), 0..4_usize).prop_map(
        |((rows, blocks, outputs), x, out, bias, finish)| IntegerProduct {
            rows,
            blocks,
            outputs,
            x,
            out,
            bias,
            finish,
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
