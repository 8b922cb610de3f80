//! Matrix products with their finishes.

use super::matrix::matrix;
use crate::frame::LaunchFrame;
use crate::memory::AddressExtent;
use crate::numbers::{StandInNumber, round_to_bf16};
use crate::status::Fault;
use crate::weights::{StandInWeightKind, StoredWeight};
use afterimage_kernels::gemm::{Finish, Narrow, Rows, RowsMut, Term, sum_on};
use afterimage_kernels::simd::Isa;

/// Rows that a variant for few of them takes.
const FEW_ROWS: usize = 16;

pub(super) fn run(
    frame: &mut LaunchFrame,
    x: StandInNumber,
    kind: StandInWeightKind,
    few: bool,
    out: StandInNumber,
) -> Result<(), Fault> {
    let (rows, outputs) = (frame.size("rows")?, frame.size("outputs")?);
    let shape = matrix(frame, "rows", "inputs", "x_stride")?;
    frame.check_strides(&["x_stride", "out_stride"])?;
    if few && rows > FEW_ROWS {
        return Err(Fault::invalid(format!("rows: {rows}, expected at most {FEW_ROWS}")));
    }
    let mut numbers = frame.read("x", x, shape)?;
    let of_integers = x == StandInNumber::I8 || x == StandInNumber::F8;
    if of_integers {
        let scales = frame.read("x_scales", StandInNumber::F32, AddressExtent::vector(rows))?;
        for (row, scale) in numbers.chunks_exact_mut(shape.cols.max(1)).zip(scales) {
            for value in row {
                *value *= scale;
            }
        }
    } else if kind != StandInWeightKind::F32 {
        round_to_bf16(&mut numbers);
    }
    let stored = stored(frame, kind, outputs, shape.cols)?;
    let weight = frame.weight(stored)?;

    let rank = frame.size("rank")?;
    let narrow = if kind == StandInWeightKind::F32 {
        (StandInNumber::F32, StandInWeightKind::F32)
    } else {
        (StandInNumber::Bf16, StandInWeightKind::Bf16)
    };
    let mut adapter = None;
    if rank > 0 {
        let low = frame.read("low", narrow.0, AddressExtent::dense(rows, rank))?;
        let up = StoredWeight::plain(narrow.1, outputs, rank, frame.pointer("up")?);
        adapter = Some((low, frame.weight(up)?));
    }
    let vector = AddressExtent::vector(outputs);
    let bias =
        if frame.flag("has_bias")? { Some(frame.read("bias", frame.vector_number("bias"), vector)?) } else { None };

    let target = matrix(frame, "rows", "outputs", "out_stride")?;
    let gate;
    let finish = match frame.size("finish")? {
        0 => Finish::Store,
        1 => Finish::Gelu,
        2 => Finish::Add,
        3 => {
            gate = frame.read("gate", StandInNumber::F32, vector)?;
            Finish::AddGated(&gate)
        }
        other => return Err(Fault::invalid(format!("finish: {other}, expected 0 to 3"))),
    };
    let adds = matches!(finish, Finish::Add | Finish::AddGated(_));
    let mut values = if adds { frame.read("out", out, target)? } else { vec![0.0; target.count()] };
    let rows_of = |data, stride| Rows { data, rows, stride };
    let mut terms = vec![Term { x: rows_of(&numbers, shape.cols), weight: &weight }];
    if let Some((low, up)) = &adapter {
        terms.push(Term { x: rows_of(low, rank), weight: up });
    }
    let written = RowsMut { data: &mut values, stride: outputs };
    sum_on(Isa::detect(), Narrow::default(), &terms, bias.as_deref(), finish, written);
    frame.write("out", out, target, &values)
}

/// The weight that the parameters tell of.
fn stored(frame: &LaunchFrame, kind: StandInWeightKind, rows: usize, cols: usize) -> Result<StoredWeight, Fault> {
    let mut stored = StoredWeight::plain(kind, rows, cols, frame.pointer("weight")?);
    if let Some(group) = kind.group() {
        if !cols.is_multiple_of(group) {
            return Err(Fault::invalid(format!("inputs: {cols}, expected a multiple of {group}")));
        }
        stored.factors = frame.pointer("factors")?;
        if frame.flag("has_offsets")? {
            stored.offsets = frame.pointer("offsets")?;
        }
    }
    if kind.has_row_scales() {
        stored.row_scales = frame.pointer("row_scales")?;
    }
    Ok(stored)
}
