//! Copies, transpositions, rows of a table.

use super::matrix::matrix;
use crate::frame::LaunchFrame;
use crate::memory::AddressExtent;
use crate::numbers::StandInNumber;
use crate::status::{Fault, StandInStatus};
use crate::weights::{StandInWeightKind, StoredWeight};

pub(super) fn copy(frame: &mut LaunchFrame, x: StandInNumber, out: StandInNumber) -> Result<(), Fault> {
    let shape = matrix(frame, "rows", "cols", "x_stride")?;
    let values = frame.read("x", x, shape)?;
    let target = matrix(frame, "rows", "cols", "out_stride")?;
    frame.write("out", out, target, &values)
}

pub(super) fn transpose(frame: &mut LaunchFrame, x: StandInNumber, out: StandInNumber) -> Result<(), Fault> {
    let shape = matrix(frame, "rows", "cols", "x_stride")?;
    let values = frame.read("x", x, shape)?;
    let target = matrix(frame, "cols", "rows", "out_stride")?;
    let affine = if frame.flag("has_affine")? {
        Some(frame.read("affine", StandInNumber::F32, AddressExtent::vector(2 * shape.rows))?)
    } else {
        None
    };
    let mut transposed = if frame.flag("add")? { frame.read("out", out, target)? } else { vec![0.0; target.count()] };
    for (row, values) in values.chunks_exact(shape.cols.max(1)).enumerate() {
        let (scale, shift) = affine.as_ref().map_or((1.0, 0.0), |both| (both[row], both[shape.rows + row]));
        for (target, value) in transposed.chunks_exact_mut(shape.rows).zip(values) {
            target[row] += value * scale + shift;
        }
    }
    frame.write("out", out, target, &transposed)
}

pub(super) fn gather(frame: &mut LaunchFrame, kind: StandInWeightKind, out: StandInNumber) -> Result<(), Fault> {
    let target = matrix(frame, "rows", "cols", "out_stride")?;
    let mut stored = StoredWeight::plain(kind, 0, target.cols, frame.pointer("table")?);
    if let Some(group) = kind.group() {
        if !target.cols.is_multiple_of(group) {
            return Err(Fault::invalid(format!("cols: {}, expected a multiple of {group}", target.cols)));
        }
        stored.factors = frame.pointer("factors")?;
        if frame.flag("has_offsets")? {
            stored.offsets = frame.pointer("offsets")?;
        }
    }
    let ids = frame.integers("ids", target.rows)?;
    let mut values = Vec::with_capacity(target.count());
    for (row, id) in ids.iter().enumerate() {
        let id = usize::try_from(*id)
            .map_err(|_| Fault::new(StandInStatus::ILLEGAL_ADDRESS, format!("ids: number {row} is {id}")))?;
        let scale = if kind.has_row_scales() {
            frame.read_from("row_scales", id, StandInNumber::F32, AddressExtent::vector(1))?[0]
        } else {
            1.0
        };
        values.extend(frame.table_row(&stored, id)?.iter().map(|value| value * scale));
    }
    frame.write("out", out, target, &values)
}
