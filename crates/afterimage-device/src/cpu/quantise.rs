//! Rows of 8-bit integers.

use crate::host::HostBuffer;
use crate::view::{MatrixShape, View, ViewMut};
use rayon::prelude::*;

/// Rows of integers, each with the factor that makes them numbers again.
#[derive(Debug)]
pub struct QuantisedRows {
    pub(crate) values: Vec<i8>,
    pub(crate) scales: Vec<f32>,
    pub(crate) cols: usize,
}

impl MatrixShape for QuantisedRows {
    fn rows(&self) -> usize {
        self.scales.len()
    }

    fn cols(&self) -> usize {
        self.cols
    }
}

pub(super) fn quantise(x: View<HostBuffer>) -> QuantisedRows {
    let cols = x.cols;
    let mut values = vec![0_i8; x.rows * cols];
    let mut scales = vec![0.0; x.rows];
    let (numbers, stride) = (x.numbers(), x.stride);
    let rows = scales.par_iter_mut().zip(values.par_chunks_mut(cols.max(1))).enumerate();
    rows.for_each(|(row, (scale, values))| {
        let row = &numbers[row * stride..][..cols];
        let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        *scale = largest / 127.0;
        // A row too small for a scale is one of zeros.
        let inverse = if *scale > 0.0 { 127.0 / largest } else { 0.0 };
        for (target, value) in values.iter_mut().zip(row) {
            *target = (value * inverse).round_ties_even() as i8;
        }
    });
    QuantisedRows { values, scales, cols }
}

pub(super) fn dequantise(rows: &QuantisedRows, mut out: ViewMut<HostBuffer>) {
    let (cols, stride) = (rows.cols.max(1), out.stride.max(1));
    let lines = out.numbers().par_chunks_mut(stride).zip(rows.values.par_chunks(cols)).zip(&rows.scales);
    lines.for_each(|((out, values), scale)| {
        for (out, value) in out.iter_mut().zip(values) {
            *out = f32::from(*value) * scale;
        }
    });
}
