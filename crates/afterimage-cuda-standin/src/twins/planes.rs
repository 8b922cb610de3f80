//! Convolutions over planes, and the largest number of a window.

use crate::frame::LaunchFrame;
use crate::memory::AddressExtent;
use crate::numbers::{StandInNumber, round_to_bf16};
use crate::status::Fault;
use crate::weights::{StandInWeightKind, StoredWeight};
use afterimage_kernels::conv::{Convolution, Movement, Planes, Prelude};
use afterimage_tensors::Matrix;
use rayon::prelude::*;

/// Sizes of a convolution and how it moves, as the kernel has them.
#[derive(Clone, Copy, Debug)]
struct PlanesShape {
    channels: usize,
    height: usize,
    width: usize,
    out_height: usize,
    out_width: usize,
    outputs: usize,
    kernel: usize,
    step: usize,
    before: usize,
    double: bool,
}

pub(super) fn convolve(
    frame: &mut LaunchFrame,
    x: StandInNumber,
    weight: StandInWeightKind,
    out: StandInNumber,
) -> Result<(), Fault> {
    let shape = PlanesShape {
        channels: frame.size("channels")?,
        height: frame.size("height")?,
        width: frame.size("width")?,
        out_height: frame.size("out_height")?,
        out_width: frame.size("out_width")?,
        outputs: frame.size("outputs")?,
        kernel: frame.positive("kernel")?,
        step: frame.positive("step")?,
        before: frame.size("before")?,
        double: frame.flag("double")?,
    };
    let PlanesShape { channels, outputs, kernel, .. } = shape;
    let pixels = shape.height * shape.width;
    let mut input = frame.read("input", x, AddressExtent::dense(channels, pixels))?;
    if frame.flag("has_affine")? {
        let affine = frame.read("affine", StandInNumber::F32, AddressExtent::vector(2 * channels))?;
        input.par_chunks_mut(pixels.max(1)).enumerate().for_each(|(channel, plane)| {
            let (scale, shift) = (affine[channel], affine[channels + channel]);
            for value in plane {
                let moved = *value * scale + shift;
                *value = moved / (1.0 + (-moved).exp());
            }
        });
    }
    if weight == StandInWeightKind::Bf16 {
        round_to_bf16(&mut input);
    }
    let stored = StoredWeight::plain(weight, outputs, channels * kernel * kernel, frame.pointer("weight")?);
    let weight = frame.weight(stored)?;
    let bias = frame.read("bias", StandInNumber::F32, AddressExtent::vector(outputs))?;
    let target = AddressExtent::dense(outputs, shape.out_height * shape.out_width);
    let add = frame.flag("add")?;
    let mut values = if add { frame.read("out", out, target)? } else { vec![0.0; target.count()] };
    match movement(&shape) {
        Some(movement) => {
            let convolution =
                Convolution { weight: &weight, bias: &bias, kernel, movement, prelude: Prelude::None, add };
            let PlanesShape { height, width, .. } = shape;
            convolution.run(Planes { data: &input, channels, height, width }, &mut values);
        }
        None => by_definition(&shape, &input, &weight, &bias, add, &mut values),
    }
    frame.write("out", out, target, &values)
}

/// The movement of the processor's kernels that this is, if it is one.
fn movement(shape: &PlanesShape) -> Option<Movement> {
    let PlanesShape { height, width, out_height, out_width, kernel, step, before, double, .. } = *shape;
    let movement = match (step, double) {
        (1, false) => Movement::Same,
        (1, true) => Movement::Double,
        (2, false) if before == 0 && kernel > 1 => Movement::Halve,
        (2, false) => Movement::Strided,
        _ => return None,
    };
    let padding = if movement == Movement::Halve { 0 } else { kernel / 2 };
    let sides = [(height, out_height), (width, out_width)];
    let fits = sides.iter().all(|(side, out_side)| movement.output_side(*side) == *out_side);
    (fits && kernel % 2 == 1 && before == padding).then_some(movement)
}

fn by_definition(shape: &PlanesShape, input: &[f32], weight: &Matrix, bias: &[f32], add: bool, out: &mut [f32]) {
    let PlanesShape { channels, height, width, out_height, out_width, kernel, step, before, .. } = *shape;
    let enlarged = if shape.double { 2 } else { 1 };
    let read = |channel: usize, y: Option<usize>, x: Option<usize>| match (y, x) {
        (Some(y), Some(x)) if y < height * enlarged && x < width * enlarged => {
            input[(channel * height + y / enlarged) * width + x / enlarged]
        }
        _ => 0.0,
    };
    let weights = weight.to_f32();
    out.par_chunks_mut((out_height * out_width).max(1)).enumerate().for_each(|(output, plane)| {
        let weights = &weights[output * channels * kernel * kernel..][..channels * kernel * kernel];
        for (pixel, target) in plane.iter_mut().enumerate() {
            let (y, x) = (pixel / out_width, pixel % out_width);
            let mut sum = f64::from(bias[output]);
            for (place, weight) in weights.iter().enumerate() {
                let (channel, tap) = (place / (kernel * kernel), place % (kernel * kernel));
                let (dy, dx) = (tap / kernel, tap % kernel);
                let value = read(channel, (y * step + dy).checked_sub(before), (x * step + dx).checked_sub(before));
                sum += f64::from(*weight) * f64::from(value);
            }
            *target = if add { *target + sum as f32 } else { sum as f32 };
        }
    });
}

pub(super) fn max_pool(frame: &mut LaunchFrame, x: StandInNumber) -> Result<(), Fault> {
    let (channels, height, width) = (frame.size("channels")?, frame.size("height")?, frame.size("width")?);
    let input = frame.read("input", x, AddressExtent::dense(channels, height * width))?;
    let (out_height, out_width) = (height / 2, width / 2);
    let mut pooled = vec![f32::NEG_INFINITY; channels * out_height * out_width];
    for (place, largest) in pooled.iter_mut().enumerate() {
        let (channel, y, x) = (place / (out_height * out_width), place / out_width % out_height, place % out_width);
        for row in 2 * y..(2 * y + 3).min(height) {
            for value in &input[(channel * height + row) * width..][2 * x..(2 * x + 3).min(width)] {
                *largest = if value.is_nan() || largest.is_nan() { f32::NAN } else { largest.max(*value) };
            }
        }
    }
    frame.write("out", x, AddressExtent::dense(channels, out_height * out_width), &pooled)
}
