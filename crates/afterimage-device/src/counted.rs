//! A device that counts what another one is asked for: what a stage would take if everything in it were as fast as the
//! machine can be.

use crate::device::{Device, DeviceLimits, Precision, WorkTime};
use crate::operation::{
    Activation, Attention, Combine, Convolution, Dense, Finish, GroupNorm, HeadNorm, Norm, Transpose,
};
use crate::view::{MatrixShape, Planes, View, ViewMut};
use afterimage_core::Result;
use afterimage_tensors::{Element, Matrix};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked for. An operation is a multiplication or an addition; a multiply-add is two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkTally {
    /// Operations of matrix products and attention.
    pub products: u64,
    /// Operations of convolutions, by their definition: a device may need fewer.
    pub convolutions: u64,
    /// Bytes of f32 that all other operations read and write.
    pub bytes: u64,
}

/// The device. Everything is done by the other one.
#[derive(Debug)]
pub struct CountedDevice<D> {
    device: Arc<D>,
    products: AtomicU64,
    convolutions: AtomicU64,
    numbers: AtomicU64,
}

impl<D> CountedDevice<D> {
    /// Counts what `device` is asked for through this one.
    pub fn new(device: Arc<D>) -> Self {
        Self { device, products: AtomicU64::new(0), convolutions: AtomicU64::new(0), numbers: AtomicU64::new(0) }
    }

    /// What was asked for since the last call.
    pub fn take(&self) -> WorkTally {
        WorkTally {
            products: self.products.swap(0, Ordering::Relaxed),
            convolutions: self.convolutions.swap(0, Ordering::Relaxed),
            bytes: self.numbers.swap(0, Ordering::Relaxed) * size_of::<f32>() as u64,
        }
    }

    /// Numbers that are read or written `times` times.
    fn moved(&self, rows: usize, cols: usize, times: u64) {
        self.numbers.fetch_add(rows as u64 * cols as u64 * times, Ordering::Relaxed);
    }
}

impl<D: Device> Device for CountedDevice<D> {
    type Buffer = D::Buffer;
    type Weight = D::Weight;
    type Rotary = D::Rotary;
    type Quantised = D::Quantised;

    fn name(&self) -> &str {
        self.device.name()
    }

    fn hardware(&self) -> &str {
        self.device.hardware()
    }

    fn note_times(&self) -> bool {
        self.device.note_times()
    }

    fn noted_times(&self) -> Result<Vec<WorkTime>> {
        self.device.noted_times()
    }

    fn wants_rows_of_integers(&self) -> bool {
        self.device.wants_rows_of_integers()
    }

    fn arithmetic(&self) -> &'static str {
        self.device.arithmetic()
    }

    fn limits(&self) -> DeviceLimits {
        self.device.limits()
    }

    fn convolution_scratch(&self, channels: usize) -> u64 {
        self.device.convolution_scratch(channels)
    }

    fn allocate(&self, numbers: usize, precision: Precision) -> Result<D::Buffer> {
        self.device.allocate(numbers, precision)
    }

    fn upload(&self, values: Vec<f32>) -> Result<D::Buffer> {
        self.moved(1, values.len(), 1);
        self.device.upload(values)
    }

    fn write(&self, values: &[f32], out: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(out.rows, out.cols, 2);
        self.device.write(values, out)
    }

    fn read(&self, from: View<'_, D::Buffer>, values: &mut [f32]) -> Result<()> {
        self.moved(from.rows, from.cols, 2);
        self.device.read(from, values)
    }

    fn copy(&self, from: View<'_, D::Buffer>, out: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(out.rows, out.cols, 2);
        self.device.copy(from, out)
    }

    fn weight(&self, matrix: &Matrix) -> Result<D::Weight> {
        self.device.weight(matrix)
    }

    fn convolution_weight(&self, matrix: &Matrix) -> Result<D::Weight> {
        self.device.convolution_weight(matrix)
    }

    fn kept_bytes(&self, element: Element, numbers: usize) -> Option<u64> {
        self.device.kept_bytes(element, numbers)
    }

    fn rotary(&self, angles: &[f64], head_dim: usize) -> Result<D::Rotary> {
        self.device.rotary(angles, head_dim)
    }

    fn gather(&self, table: &D::Weight, ids: &[u32], out: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(out.rows, out.cols, 2);
        self.device.gather(table, ids, out)
    }

    fn product(
        &self,
        x: View<'_, D::Buffer>,
        layer: Dense<'_, D::Weight, D::Buffer>,
        finish: Finish<'_, D::Buffer>,
        out: ViewMut<'_, D::Buffer>,
    ) -> Result<()> {
        let rank = layer.low_rank.as_ref().map_or(0, |low_rank| low_rank.down.rows());
        let multiplications = x.cols as u64 * out.cols as u64 + rank as u64 * (x.cols + out.cols) as u64;
        self.products.fetch_add(2 * x.rows as u64 * multiplications, Ordering::Relaxed);
        self.device.product(x, layer, finish, out)
    }

    fn attention(&self, attention: Attention<'_, D::Buffer>, out: ViewMut<'_, D::Buffer>) -> Result<()> {
        let pairs = attention.queries.rows as u64 * attention.keys.rows as u64;
        self.products.fetch_add(4 * pairs * attention.queries.cols as u64, Ordering::Relaxed);
        self.device.attention(attention, out)
    }

    fn norm(
        &self,
        x: View<'_, D::Buffer>,
        norm: Norm<'_, D::Buffer>,
        epsilon: f32,
        out: ViewMut<'_, D::Buffer>,
    ) -> Result<()> {
        self.moved(x.rows, x.cols, 2);
        self.device.norm(x, norm, epsilon, out)
    }

    fn rotate_heads(&self, norm: HeadNorm<'_, D::Rotary, D::Buffer>, x: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(x.rows, x.cols, 2);
        self.device.rotate_heads(norm, x)
    }

    fn convolve(
        &self,
        convolution: Convolution<'_, D::Weight, D::Buffer>,
        input: Planes<'_, D::Buffer>,
        out: ViewMut<'_, D::Buffer>,
    ) -> Result<()> {
        let multiplications = out.rows as u64 * out.cols as u64 * convolution.weight.cols() as u64;
        self.convolutions.fetch_add(2 * multiplications, Ordering::Relaxed);
        self.device.convolve(convolution, input, out)
    }

    fn max_pool(&self, input: Planes<'_, D::Buffer>, out: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(input.channels, input.height * input.width, 1);
        self.moved(out.rows, out.cols, 1);
        self.device.max_pool(input, out)
    }

    fn group_norm(&self, norm: GroupNorm<'_, D::Buffer>, out: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(norm.input.channels, norm.input.height * norm.input.width, 1);
        self.device.group_norm(norm, out)
    }

    fn quantise_rows(&self, x: View<'_, D::Buffer>) -> Result<D::Quantised> {
        self.moved(x.rows, x.cols, 1);
        self.device.quantise_rows(x)
    }

    fn dequantise_rows(&self, rows: &D::Quantised, out: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(out.rows, out.cols, 1);
        self.device.dequantise_rows(rows, out)
    }

    fn activate(&self, function: Activation, x: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(x.rows, x.cols, 2);
        self.device.activate(function, x)
    }

    fn combine(&self, how: Combine, y: View<'_, D::Buffer>, x: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(y.rows, y.cols, 1);
        self.moved(x.rows, x.cols, 2);
        self.device.combine(how, y, x)
    }

    fn magnitudes(&self, x: View<'_, D::Buffer>, y: View<'_, D::Buffer>, out: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(x.rows, x.cols, 2);
        self.device.magnitudes(x, y, out)
    }

    fn transpose(&self, transpose: Transpose<'_, D::Buffer>, out: ViewMut<'_, D::Buffer>) -> Result<()> {
        self.moved(out.rows, out.cols, if transpose.add { 3 } else { 2 });
        self.device.transpose(transpose, out)
    }
}
