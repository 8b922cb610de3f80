//! Functions of single numbers, combinations of two, mean magnitudes.

use super::matrix::matrix;
use crate::frame::LaunchFrame;
use crate::memory::AddressExtent;
use crate::numbers::StandInNumber;
use crate::status::Fault;
use rayon::prelude::*;
use std::f32::consts::FRAC_1_SQRT_2;

/// √(2/π)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// Numbers that a task works on at once.
const PIECE: usize = 1 << 14;

pub(super) fn activate(frame: &mut LaunchFrame, x: StandInNumber) -> Result<(), Fault> {
    let function: fn(f32) -> f32 = match frame.size("function")? {
        0 => |x| x / (1.0 + (-x).exp()),
        1 => |x| x / (1.0 + (-1.702 * x).exp()),
        2 => |x| 0.5 * x * (1.0 + libm::erff(x * FRAC_1_SQRT_2)),
        3 => |x| 0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)).tanh()),
        4 => |x| if x < 0.0 { 0.0 } else { x },
        other => return Err(Fault::invalid(format!("function: {other}, expected 0 to 4"))),
    };
    let shape = matrix(frame, "rows", "cols", "stride")?;
    let mut values = frame.read("x", x, shape)?;
    values.par_chunks_mut(PIECE).for_each(|piece| piece.iter_mut().for_each(|value| *value = function(*value)));
    frame.write("x", x, shape, &values)
}

pub(super) fn combine(frame: &mut LaunchFrame, y: StandInNumber, x: StandInNumber) -> Result<(), Fault> {
    let shape = matrix(frame, "rows", "cols", "x_stride")?;
    let one_row = frame.size("y_stride")? == 0;
    let others = if one_row { AddressExtent::vector(shape.cols) } else { matrix(frame, "rows", "cols", "y_stride")? };
    let factor = frame.float("factor")?;
    let others = frame.read("y", y, others)?;
    let mut values = frame.read("x", x, shape)?;
    let combine: &dyn Fn(&mut f32, f32) = match frame.size("how")? {
        0 => &|x, y| *x += factor * y,
        1 => &|x, y| *x *= y,
        other => return Err(Fault::invalid(format!("how: {other}, expected 0 or 1"))),
    };
    values.iter_mut().zip(others.iter().cycle()).for_each(|(value, other)| combine(value, *other));
    frame.write("x", x, shape, &values)
}

pub(super) fn partial(frame: &mut LaunchFrame, x: StandInNumber, y: StandInNumber) -> Result<(), Fault> {
    let shape = matrix(frame, "rows", "cols", "x_stride")?;
    let values = frame.read("x", x, shape)?;
    let other_shape = matrix(frame, "rows", "cols", "y_stride")?;
    let others = frame.read("y", y, other_shape)?;
    let cols = shape.cols.max(1);
    let rows = values.chunks_exact(cols).zip(others.chunks_exact(cols));
    let sums: Vec<f32> = rows
        .flat_map(|(x, y)| {
            let change: f64 = x.iter().zip(y).map(|(x, y)| f64::from((x - y).abs())).sum();
            [change as f32, y.iter().map(|y| f64::from(y.abs())).sum::<f64>() as f32]
        })
        .collect();
    frame.write("partial", StandInNumber::F32, AddressExtent::dense(shape.rows, 2), &sums)
}

pub(super) fn finish(frame: &mut LaunchFrame) -> Result<(), Fault> {
    let count = f64::from(frame.float("count")?);
    let shape = AddressExtent::dense(frame.size("rows")?, 2);
    let sums = frame.read("partial", StandInNumber::F32, shape)?;
    let mean =
        |place: usize| (sums.iter().skip(place).step_by(2).map(|sum| f64::from(*sum)).sum::<f64>() / count) as f32;
    let means = [mean(0), mean(1)];
    frame.write("out", StandInNumber::F32, AddressExtent::vector(2), &means)
}
