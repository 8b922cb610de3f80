//! A device that owns no numbers: it checks every shape, notes every operation and counts bytes. With it a whole pipeline
//! of any size runs in no time, and what it will ask of a machine is known before there is one.

use crate::check;
use crate::device::{Device, DeviceLimits, Precision};
use crate::operation::{
    Activation, Attention, Combine, Convolution, Dense, Finish, GroupNorm, HeadNorm, Norm, Transpose,
};
use crate::view::{DeviceBuffer, MatrixShape, Planes, RotaryShape, View, ViewMut};
use afterimage_core::Result;
use afterimage_tensors::Matrix;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An operation that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name of [`Device`]'s method.
    pub operation: &'static str,
    /// Rows of the output.
    pub rows: usize,
    /// Numbers of one of the output's rows.
    pub cols: usize,
}

/// What was asked so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Every operation, in order.
    pub records: Vec<Record>,
    /// Numbers of all weights that were taken over.
    pub weight_numbers: u64,
    /// Bytes of all buffers that live now, 4 for each number.
    pub live_bytes: u64,
    /// The most that lived at once.
    pub peak_bytes: u64,
}

impl Tally {
    /// How often `operation` was asked for.
    pub fn count(&self, operation: &str) -> usize {
        self.records.iter().filter(|record| record.operation == operation).count()
    }
}

/// The device. Clones share one tally.
#[derive(Clone, Debug)]
pub struct Recording {
    tally: Arc<Mutex<Tally>>,
    constant: f32,
    limits: DeviceLimits,
}

impl Recording {
    /// A device whose `read` gives `constant` for every number.
    pub fn new(constant: f32, limits: DeviceLimits) -> Self {
        Self { tally: Arc::default(), constant, limits }
    }

    /// What was asked so far.
    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    fn note(&self, operation: &'static str, rows: usize, cols: usize) {
        lock(&self.tally).records.push(Record { operation, rows, cols });
    }

    fn buffer(&self, numbers: usize) -> ShapeOnly {
        let mut tally = lock(&self.tally);
        tally.live_bytes += 4 * numbers as u64;
        tally.peak_bytes = tally.peak_bytes.max(tally.live_bytes);
        ShapeOnly { numbers, tally: Arc::clone(&self.tally) }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    // Counts are whole after every statement.
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer's length.
#[derive(Debug)]
pub struct ShapeOnly {
    numbers: usize,
    tally: Arc<Mutex<Tally>>,
}

impl Drop for ShapeOnly {
    fn drop(&mut self) {
        lock(&self.tally).live_bytes -= 4 * self.numbers as u64;
    }
}

impl DeviceBuffer for ShapeOnly {
    fn len(&self) -> usize {
        self.numbers
    }
}

/// A matrix's or a table's sides.
#[derive(Clone, Copy, Debug)]
pub struct Sides {
    rows: usize,
    cols: usize,
}

impl MatrixShape for Sides {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }
}

impl RotaryShape for Sides {
    fn tokens(&self) -> usize {
        self.rows
    }

    fn head_dim(&self) -> usize {
        self.cols
    }
}

impl Device for Recording {
    type Buffer = ShapeOnly;
    type Weight = Sides;
    type Rotary = Sides;
    type Quantised = Sides;

    fn name(&self) -> &'static str {
        "recording"
    }

    fn limits(&self) -> DeviceLimits {
        self.limits
    }

    fn allocate(&self, numbers: usize, _precision: Precision) -> Result<ShapeOnly> {
        self.note("allocate", 1, numbers);
        Ok(self.buffer(numbers))
    }

    fn upload(&self, values: Vec<f32>) -> Result<ShapeOnly> {
        self.note("upload", 1, values.len());
        Ok(self.buffer(values.len()))
    }

    fn write(&self, values: &[f32], out: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("write", out.rows, out.cols);
        check::transfer(values.len(), out.as_view(), "output")
    }

    fn read(&self, from: View<'_, ShapeOnly>, values: &mut [f32]) -> Result<()> {
        self.note("read", from.rows, from.cols);
        check::transfer(values.len(), from, "input")?;
        values.fill(self.constant);
        Ok(())
    }

    fn copy(&self, from: View<'_, ShapeOnly>, out: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("copy", out.rows, out.cols);
        check::copy(from, &out)
    }

    fn weight(&self, matrix: &Matrix) -> Result<Sides> {
        let (rows, cols) = (matrix.rows(), matrix.cols());
        self.note("weight", rows, cols);
        lock(&self.tally).weight_numbers += rows as u64 * cols as u64;
        Ok(Sides { rows, cols })
    }

    fn rotary(&self, angles: &[f64], head_dim: usize) -> Result<Sides> {
        check::rotary(angles.len(), head_dim)?;
        let rows = 2 * angles.len() / head_dim;
        self.note("rotary", rows, head_dim);
        Ok(Sides { rows, cols: head_dim })
    }

    fn gather(&self, table: &Sides, ids: &[u32], out: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("gather", out.rows, out.cols);
        check::gather(table, ids, &out)
    }

    fn product(
        &self,
        x: View<'_, ShapeOnly>,
        layer: Dense<'_, Sides, ShapeOnly>,
        finish: Finish<'_, ShapeOnly>,
        out: ViewMut<'_, ShapeOnly>,
    ) -> Result<()> {
        self.note("product", out.rows, out.cols);
        check::product(x, &layer, &finish, &out)
    }

    fn attention(&self, attention: Attention<'_, ShapeOnly>, out: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("attention", out.rows, out.cols);
        check::attention(&attention, &out).map(drop)
    }

    fn norm(
        &self,
        x: View<'_, ShapeOnly>,
        norm: Norm<'_, ShapeOnly>,
        _epsilon: f32,
        out: ViewMut<'_, ShapeOnly>,
    ) -> Result<()> {
        self.note("norm", out.rows, out.cols);
        check::norm(x, &norm, &out)
    }

    fn rotate_heads(&self, norm: HeadNorm<'_, Sides, ShapeOnly>, x: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("rotate_heads", x.rows, x.cols);
        check::rotate_heads(&norm, &x).map(drop)
    }

    fn convolve(
        &self,
        convolution: Convolution<'_, Sides, ShapeOnly>,
        input: Planes<'_, ShapeOnly>,
        out: ViewMut<'_, ShapeOnly>,
    ) -> Result<()> {
        self.note("convolve", out.rows, out.cols);
        check::convolve(&convolution, input, &out)
    }

    fn max_pool(&self, input: Planes<'_, ShapeOnly>, out: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("max_pool", out.rows, out.cols);
        check::max_pool(input, &out)
    }

    fn group_norm(&self, norm: GroupNorm<'_, ShapeOnly>, out: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("group_norm", out.rows, out.cols);
        check::group_norm(&norm, &out)
    }

    fn quantise_rows(&self, x: View<'_, ShapeOnly>) -> Result<Sides> {
        self.note("quantise_rows", x.rows, x.cols);
        check::view(x, "input")?;
        Ok(Sides { rows: x.rows, cols: x.cols })
    }

    fn dequantise_rows(&self, rows: &Sides, out: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("dequantise_rows", out.rows, out.cols);
        check::dequantise(rows, &out)
    }

    fn activate(&self, _function: Activation, x: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("activate", x.rows, x.cols);
        check::view(x.as_view(), "output")
    }

    fn combine(&self, _how: Combine, y: View<'_, ShapeOnly>, x: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("combine", x.rows, x.cols);
        check::combine(y, &x)
    }

    fn magnitudes(&self, x: View<'_, ShapeOnly>, y: View<'_, ShapeOnly>, out: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("magnitudes", out.rows, out.cols);
        check::magnitudes(x, y, &out)
    }

    fn transpose(&self, transpose: Transpose<'_, ShapeOnly>, out: ViewMut<'_, ShapeOnly>) -> Result<()> {
        self.note("transpose", out.rows, out.cols);
        check::transpose(&transpose, &out)
    }
}
