//! The two operations that a step consists of, each alone, as large as the step has them.

use crate::models::flux::FluxTransformer;
use crate::sampling::TorchGenerator;
use afterimage_core::Result;
use afterimage_device::{Attention, AttentionBias, Device, Finish, MatrixShape, Precision, View, ViewMut};
use std::time::{Duration, Instant};

/// An operation is measured for so long, or twice if that takes longer.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
/// The first call also fetches the weights and the memory, which shows in short ones.
const FEWEST_CALLS: u32 = 2;
/// Beside a call of this length it does not.
const LONG_CALLS: Duration = Duration::from_secs(8);

/// Billions of operations a second, the best of some calls; a multiply-add is two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parts {
    /// The widest layer of a block on the rows that it gets at once; 0 for a transformer without blocks.
    pub product: f64,
    /// All tokens attending to all of them.
    pub attention: f64,
}

/// Measures both with random numbers for `tokens` tokens.
pub(super) fn measure<D: Device>(
    device: &D,
    transformer: &FluxTransformer<D>,
    tokens: usize,
    generator: &mut TorchGenerator,
) -> Result<Parts> {
    Ok(Parts {
        product: product(device, transformer, tokens, generator)?,
        attention: attention(device, transformer, tokens, generator)?,
    })
}

fn product<D: Device>(
    device: &D,
    transformer: &FluxTransformer<D>,
    tokens: usize,
    generator: &mut TorchGenerator,
) -> Result<f64> {
    let Some(layer) = transformer.widest_layer() else { return Ok(0.0) };
    let rows = tokens.min(device.limits().wide_rows);
    let [outputs, inputs] = [layer.weight().rows(), layer.weight().cols()];
    let x = random(device, rows, inputs, generator)?;
    let mut out = device.allocate(rows * outputs, Precision::Working)?;
    let operations = 2.0 * rows as f64 * inputs as f64 * outputs as f64;
    best(device, operations, &mut out, |out| {
        layer.apply_into(device, View::new(&x, rows, inputs), Finish::GeluTanh, ViewMut::new(out, rows, outputs))
    })
}

fn attention<D: Device>(
    device: &D,
    transformer: &FluxTransformer<D>,
    tokens: usize,
    generator: &mut TorchGenerator,
) -> Result<f64> {
    let config = transformer.config();
    let width = config.hidden();
    let [queries, keys, values] = [0; 3].map(|_| random(device, tokens, width, generator));
    let (queries, keys, values) = (queries?, keys?, values?);
    let mut out = device.allocate(tokens * width, Precision::Working)?;
    let operations = 4.0 * width as f64 * (tokens as f64).powi(2);
    best(device, operations, &mut out, |out| {
        let attention = Attention {
            heads: config.num_attention_heads,
            scale: 1.0 / (config.attention_head_dim as f32).sqrt(),
            queries: View::new(&queries, tokens, width),
            keys: View::new(&keys, tokens, width),
            values: View::new(&values, tokens, width),
            bias: AttentionBias::None,
        };
        device.attention(attention, ViewMut::new(out, tokens, width))
    })
}

fn random<D: Device>(device: &D, rows: usize, cols: usize, generator: &mut TorchGenerator) -> Result<D::Buffer> {
    let mut buffer = device.allocate(rows * cols, Precision::Working)?;
    device.write(&generator.randn_f32(rows * cols), ViewMut::new(&mut buffer, rows, cols))?;
    Ok(buffer)
}

fn best<D: Device>(
    device: &D,
    operations: f64,
    out: &mut D::Buffer,
    mut call: impl FnMut(&mut D::Buffer) -> Result<()>,
) -> Result<f64> {
    let (begin, mut calls, mut best) = (Instant::now(), 0, f64::INFINITY);
    while begin.elapsed() < LONG_ENOUGH || (calls < FEWEST_CALLS && begin.elapsed() < LONG_CALLS) {
        let start = Instant::now();
        call(out)?;
        // Waits for the device.
        device.read(View::vector(out, 0, 1), &mut [0.0])?;
        best = best.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    Ok(operations / best / 1e9)
}
