//! What does not fit is refused before anything is computed.

use super::placed::{all, noise, vector};
use crate::device::Device;
use crate::operation::{
    Activation, Attention, AttentionBias, Combine, Convolution, Dense, Finish, GroupNorm, HeadNorm, Movement, Norm,
    Prelude, Transpose,
};
use crate::view::{Planes, View, ViewMut};
use afterimage_core::{Error, Result};
use afterimage_tensors::Matrix;

/// Calls that must end with [`Error::Internal`].
///
/// # Panics
/// When one does not.
pub fn refusals<D: Device>(device: &D) {
    for attempts in [attempts(device), moving_attempts(device)] {
        let attempts = attempts.unwrap_or_else(|error| panic!("{}: {error}", device.name()));
        for (what, attempt) in attempts {
            assert!(matches!(attempt, Err(Error::Internal(_))), "{}: {what}: {attempt:?}", device.name());
        }
    }
}

fn attempts<D: Device>(device: &D) -> Result<Vec<(&'static str, Result<()>)>> {
    // A buffer of 12 numbers, a matrix of 3 × 4, and all that does not fit them.
    let (x, mut out) = (vector(device, 12, 1)?, vector(device, 12, 2)?);
    let weight = device.weight(&Matrix::from_f32(&noise(12, 3), 3, 4))?;
    let rotary = device.rotary(&[0.5; 6], 4)?;
    let rows = device.quantise_rows(View::new(&x, 3, 4))?;
    let view = View::new(&x, 3, 4);
    let dense = |bias| Dense { weight: &weight, bias, low_rank: None };
    let attend = |heads, keys, bias| Attention { heads, scale: 1.0, queries: view, keys, values: keys, bias };
    let rms = |weight| Norm::Rms { weight };
    let convolution = |kernel, prelude| Convolution {
        weight: &weight,
        bias: View::vector(&x, 0, 3),
        kernel,
        movement: Movement::Same,
        prelude,
        add: false,
    };
    let planes = |channels| Planes { buffer: &x, channels, height: 1, width: 3 };
    let group = |groups| GroupNorm {
        groups,
        weight: View::vector(&x, 0, 4),
        bias: View::vector(&x, 0, 4),
        epsilon: 1.0,
        input: planes(4),
    };
    Ok(vec![
        (
            "another depth",
            device.product(View::new(&x, 4, 3), dense(None), Finish::Store, ViewMut::new(&mut out, 4, 3)),
        ),
        ("a short output", device.product(view, dense(None), Finish::Store, ViewMut::new(&mut out, 2, 3))),
        ("a long bias", device.product(view, dense(Some(all(&x))), Finish::Store, ViewMut::new(&mut out, 3, 3))),
        ("a long gate", device.product(view, dense(None), Finish::AddGated(all(&x)), ViewMut::new(&mut out, 3, 3))),
        ("three heads in four", device.attention(attend(3, view, AttentionBias::None), ViewMut::new(&mut out, 3, 4))),
        (
            "no keys",
            device.attention(attend(2, View::new(&x, 0, 4), AttentionBias::None), ViewMut::new(&mut out, 3, 4)),
        ),
        (
            "a bias of other pairs",
            device.attention(attend(2, view, AttentionBias::Pairs(view)), ViewMut::new(&mut out, 3, 4)),
        ),
        ("a short weight", device.norm(view, rms(View::vector(&x, 0, 3)), 1.0, ViewMut::new(&mut out, 3, 4))),
        (
            "tokens beyond the table",
            device.rotate_heads(
                HeadNorm { weight: View::vector(&x, 0, 4), epsilon: 1.0, rotary: &rotary, first_token: 1 },
                ViewMut::new(&mut out, 3, 4),
            ),
        ),
        ("an even kernel", device.convolve(convolution(2, Prelude::None), planes(1), ViewMut::new(&mut out, 3, 3))),
        ("other channels", device.convolve(convolution(1, Prelude::None), planes(3), ViewMut::new(&mut out, 3, 3))),
        (
            "a prelude of other channels",
            device.convolve(
                convolution(1, Prelude::AffineSilu(View::new(&x, 2, 3))),
                planes(4),
                ViewMut::new(&mut out, 3, 3),
            ),
        ),
        ("a pool that is not half the size", device.max_pool(planes(4), ViewMut::new(&mut out, 4, 1))),
        ("groups that do not divide", device.group_norm(group(3), ViewMut::new(&mut out, 2, 4))),
        ("another room", device.dequantise_rows(&rows, ViewMut::new(&mut out, 4, 3))),
        ("an output beyond the end", device.activate(Activation::Silu, ViewMut::new(&mut out, 4, 4))),
        ("other rows", device.combine(Combine::Multiply, View::new(&x, 2, 4), ViewMut::new(&mut out, 3, 4))),
        (
            "a shape that is not turned",
            device.transpose(Transpose { input: view, affine: None, add: false }, ViewMut::new(&mut out, 3, 4)),
        ),
    ])
}

/// The same of operations that move or measure numbers.
fn moving_attempts<D: Device>(device: &D) -> Result<Vec<(&'static str, Result<()>)>> {
    let (x, mut out) = (vector(device, 12, 1)?, vector(device, 12, 2)?);
    let weight = device.weight(&Matrix::from_f32(&noise(12, 3), 3, 4))?;
    let (mut values, view, far) = ([0.0; 12], View::new(&x, 3, 4), usize::MAX / 2);
    Ok(vec![
        ("a view beyond the end", device.read(View::new(&x, 3, 4).at(1), &mut values)),
        ("an absurd view", device.read(View::new(&x, far, far), &mut values)),
        ("an absurd offset", device.read(View::new(&x, 3, 4).at(usize::MAX), &mut values)),
        ("overlapping rows", device.read(View::new(&x, 3, 4).strided(2), &mut values)),
        ("too few numbers", device.write(&values[..11], ViewMut::new(&mut out, 3, 4))),
        ("another shape", device.copy(view, ViewMut::new(&mut out, 4, 3))),
        ("half a token of angles", device.rotary(&[0.0; 3], 4).map(drop)),
        ("odd heads", device.rotary(&[0.0; 3], 3).map(drop)),
        ("an id beyond the table", device.gather(&weight, &[2, 3], ViewMut::new(&mut out, 2, 4))),
        ("a mean of other rows", device.magnitudes(view, View::new(&x, 2, 4), ViewMut::new(&mut out, 1, 2))),
        (
            "a mean of nothing",
            device.magnitudes(View::new(&x, 0, 4), View::new(&x, 0, 4), ViewMut::new(&mut out, 1, 2)),
        ),
    ])
}
