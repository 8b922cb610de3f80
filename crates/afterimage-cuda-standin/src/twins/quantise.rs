//! Rows of numbers as 8-bit numbers with a scale, and back.

use super::matrix::matrix;
use crate::frame::LaunchFrame;
use crate::memory::AddressExtent;
use crate::numbers::StandInNumber;
use crate::status::Fault;

pub(super) fn quantise(frame: &mut LaunchFrame, x: StandInNumber, out: StandInNumber) -> Result<(), Fault> {
    let largest_stored = if out == StandInNumber::I8 { 127.0 } else { 448.0 };
    let shape = matrix(frame, "rows", "cols", "stride")?;
    let mut values = frame.read("x", x, shape)?;
    let mut scales = Vec::with_capacity(shape.rows);
    for row in values.chunks_exact_mut(shape.cols.max(1)) {
        let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = f64::from(largest) / largest_stored;
        for value in row {
            *value = if scale > 0.0 { (f64::from(*value) / scale) as f32 } else { 0.0 };
        }
        scales.push(scale as f32);
    }
    frame.write("out", out, AddressExtent::dense(shape.rows, shape.cols), &values)?;
    frame.write("scales", StandInNumber::F32, AddressExtent::vector(shape.rows), &scales)
}

pub(super) fn dequantise(frame: &mut LaunchFrame, out: StandInNumber) -> Result<(), Fault> {
    let target = matrix(frame, "rows", "cols", "out_stride")?;
    let mut values = frame.read("x", StandInNumber::I8, AddressExtent::dense(target.rows, target.cols))?;
    let scales = frame.read("scales", StandInNumber::F32, AddressExtent::vector(target.rows))?;
    for (row, scale) in values.chunks_exact_mut(target.cols.max(1)).zip(scales) {
        for value in row {
            *value *= scale;
        }
    }
    frame.write("out", out, target, &values)
}
