//! Norms of rows; norms of heads with their rotation.

use super::matrix::matrix;
use crate::family::NormKind;
use crate::frame::LaunchFrame;
use crate::memory::AddressExtent;
use crate::numbers::StandInNumber;
use crate::status::Fault;
use rayon::prelude::*;

pub(super) fn run(frame: &mut LaunchFrame, kind: NormKind, x: StandInNumber, out: StandInNumber) -> Result<(), Fault> {
    let shape = matrix(frame, "rows", "cols", "x_stride")?;
    let epsilon = frame.float("epsilon")?;
    let mut values = frame.read("x", x, shape)?;
    let a = frame.read("a", StandInNumber::F32, AddressExtent::vector(shape.cols))?;
    let b = match kind {
        NormKind::Layer | NormKind::Modulated => {
            frame.read("b", StandInNumber::F32, AddressExtent::vector(shape.cols))?
        }
        NormKind::Rms => vec![0.0; shape.cols],
    };
    values.par_chunks_mut(shape.cols.max(1)).for_each(|row| {
        let mean = if kind == NormKind::Rms { 0.0 } else { sum(row, |value| value) / row.len() as f32 };
        let variance = sum(row, |value| (value - mean) * (value - mean)) / row.len() as f32;
        let factor = 1.0 / (variance + epsilon).sqrt();
        let one = if kind == NormKind::Modulated { 1.0 } else { 0.0 };
        for ((value, a), b) in row.iter_mut().zip(&a).zip(&b) {
            *value = (*value - mean) * factor * (one + a) + b;
        }
    });
    let target = matrix(frame, "rows", "cols", "out_stride")?;
    frame.write("out", out, target, &values)
}

/// Sum of `f(value)`, in a few lanes.
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; 16];
    for chunk in values.chunks(16) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f(*value);
        }
    }
    lanes.iter().sum()
}

pub(super) fn rotate(frame: &mut LaunchFrame, x: StandInNumber) -> Result<(), Fault> {
    let (tokens, heads, head_dim) = (frame.size("tokens")?, frame.size("heads")?, frame.positive("head_dim")?);
    let (stride, first_token, epsilon) = (frame.size("stride")?, frame.size("first_token")?, frame.float("epsilon")?);
    let width = heads * head_dim;
    if head_dim % 2 != 0 || stride < width && tokens > 1 {
        return Err(Fault::invalid(format!("{heads} heads of {head_dim} in rows {stride} apart")));
    }
    let half = head_dim / 2;
    let shape = AddressExtent::strided(tokens, width, stride);
    let mut values = frame.read("x", x, shape)?;
    let weight = frame.read("weight", StandInNumber::F32, AddressExtent::vector(head_dim))?;
    let table = AddressExtent::dense(tokens, half);
    let cosines = frame.read_from("cosines", first_token * half, StandInNumber::F32, table)?;
    let sines = frame.read_from("sines", first_token * half, StandInNumber::F32, table)?;
    let angles = cosines.par_chunks(half).zip(sines.par_chunks(half));
    values.par_chunks_mut(width.max(1)).zip(angles).for_each(|(row, (cosines, sines))| {
        for head in row.chunks_exact_mut(head_dim) {
            let factor = 1.0 / (sum(head, |value| value * value) / head_dim as f32 + epsilon).sqrt();
            let (pairs, weights) = (head.as_chunks_mut::<2>().0, weight.as_chunks::<2>().0);
            for (((pair, weight), cosine), sine) in pairs.iter_mut().zip(weights).zip(cosines).zip(sines) {
                let (first, second) = (pair[0] * factor * weight[0], pair[1] * factor * weight[1]);
                *pair = [first * cosine - second * sine, second * cosine + first * sine];
            }
        }
    });
    frame.write("x", x, shape, &values)
}
