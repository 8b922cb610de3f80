//! What low-rank adapters add to a layer, put together for the device.

use crate::weights::lora::{AppliedLoras, AppliedUpdate, stored};
use afterimage_core::{Error, Result};
use afterimage_device::{Device, LowRank};
use afterimage_tensors::{Element, Matrix};
use std::ops::Range;

/// Which outputs of which named layer some outputs of a layer are.
#[derive(Clone, Debug)]
pub(super) struct LayerPlace {
    /// Canonical name, without `.weight`.
    pub layer: String,
    /// The outputs of the named layer.
    pub rows: Range<usize>,
    /// Whether its weight is stored as f32, so that updates may be part of it.
    pub is_f32: bool,
}

/// Matrices on a device that add to a layer's product.
pub(super) struct Adapter<D: Device> {
    down: D::Weight,
    up: D::Weight,
}

impl<D: Device> Adapter<D> {
    pub fn low_rank(&self) -> LowRank<'_, D::Weight> {
        LowRank { down: &self.down, up: &self.up }
    }
}

/// Some rows of an update as outputs of a layer.
struct PlacedUpdate<'a> {
    applied: AppliedUpdate<'a>,
    /// Rows of the update.
    rows: Range<usize>,
    /// The layer's output that is the first of them.
    output: usize,
    /// Whether the layer's weight holds it already.
    is_done: bool,
}

/// All updates of a layer.
pub(super) struct Additions<'a> {
    placed: Vec<PlacedUpdate<'a>>,
    outputs: usize,
    inputs: usize,
}

impl<'a> Additions<'a> {
    /// What `loras` add to the layer at `places` with so many `inputs`.
    pub fn find(places: &[LayerPlace], inputs: usize, loras: AppliedLoras<'a>) -> Self {
        let (mut placed, mut first) = (Vec::new(), 0);
        for place in places {
            for applied in loras.of(&place.layer) {
                let rows = &applied.update.rows;
                let (start, end) = (rows.start.max(place.rows.start), rows.end.min(place.rows.end));
                if start < end && applied.update.cols == inputs {
                    placed.push(PlacedUpdate {
                        applied,
                        rows: start - rows.start..end - rows.start,
                        output: first + start - place.rows.start,
                        is_done: applied.is_merged && place.is_f32,
                    });
                }
            }
            first += place.rows.len();
        }
        Self { placed, outputs: first, inputs }
    }

    pub fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    /// Adds the updates' biases to `bias`; `None` when they have none.
    pub fn bias(&self, bias: Option<Vec<f32>>) -> Option<Vec<f32>> {
        let with_bias = self.placed.iter().filter_map(|placed| Some((placed, placed.applied.update.bias.as_ref()?)));
        let mut added = with_bias.peekable();
        added.peek()?;
        let mut sums = bias.unwrap_or_else(|| vec![0.0; self.outputs]);
        for (placed, bias) in added {
            let outputs = &mut sums[placed.output..placed.output + placed.rows.len()];
            let bias = &bias[placed.rows.clone()];
            outputs.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += placed.applied.factor * bias);
        }
        Some(sums)
    }

    /// The updates that the weight does not hold, side by side: one product each way, whatever their number. What one
    /// does not change has zeros.
    ///
    /// # Errors
    /// Those of the device.
    pub fn adapter<D: Device>(&self, device: &D) -> Result<Option<Adapter<D>>> {
        let open = || self.placed.iter().filter(|placed| !placed.is_done);
        let rank: usize = open().map(|placed| placed.applied.update.rank).sum();
        if rank == 0 {
            return Ok(None);
        }
        let mut down = Vec::with_capacity(rank * self.inputs);
        let mut up = vec![0.0; self.outputs * rank];
        let mut first = 0;
        for PlacedUpdate { applied: AppliedUpdate { update, factor, .. }, rows, output, .. } in open() {
            down.extend_from_slice(&update.down);
            let own = update.rank;
            for (index, row) in rows.clone().enumerate() {
                let start = (output + index) * rank + first;
                let from = &update.up[row * own..(row + 1) * own];
                up[start..start + own].iter_mut().zip(from).for_each(|(up, from)| *up = factor * from);
            }
            first += own;
        }
        let weight = |values: &[f32], rows, cols| {
            let matrix = Matrix::new(stored(values), Element::F32, rows, cols);
            device.weight(&matrix.ok_or_else(|| Error::internal("numbers that do not fill their matrix"))?)
        };
        Ok(Some(Adapter { down: weight(&down, rank, self.inputs)?, up: weight(&up, self.outputs, rank)? }))
    }
}
