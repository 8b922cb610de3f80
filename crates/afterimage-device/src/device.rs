//! The interface between models and machines.

use crate::operation::{
    Activation, Attention, Combine, Convolution, Dense, Finish, GroupNorm, HeadNorm, Norm, Transpose,
};
use crate::view::{DeviceBuffer, MatrixShape, Planes, RotaryShape, View, ViewMut};
use afterimage_core::Result;
use afterimage_tensors::{Element, Matrix};

/// How exactly a buffer's numbers have to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As f32: residual streams, latents, what a model hands out.
    Exact,
    /// As the device computes fastest: activations between two operations. f32 on the processor.
    Working,
}

/// What a model needs to know of a device to divide its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Bytes of activations that the autoencoder may hold at once; larger pictures are made in tiles.
    pub activation_bytes: u64,
    /// Rows that a layer much wider than its input (an MLP) works on at once.
    pub wide_rows: usize,
    /// Bytes that models may take, where the device has memory of its own.
    pub memory_bytes: Option<u64>,
}

/// What one kind of work took, all of its runs together.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkTime {
    /// The kernel.
    pub name: String,
    /// How often it ran.
    pub runs: u64,
    /// How long in all.
    pub milliseconds: f64,
}

/// A machine that computes.
///
/// Operations are given in the order in which they have to happen and may still be running when they return; only
/// [`Device::read`] waits. What does not fit is [`afterimage_core::Error::Internal`] before anything is computed, a device
/// that fails is [`afterimage_core::Error::Device`]; an asynchronous failure may be told by any later call, at the latest
/// by `read`. Outputs never share a buffer with inputs: the borrow checker sees to it.
pub trait Device: Send + Sync + 'static {
    /// Numbers in the device's memory, freed when dropped.
    type Buffer: DeviceBuffer;
    /// A weight matrix in the device's memory and in whatever type the device keeps it.
    type Weight: MatrixShape;
    /// A table of rotary angles in the device's memory.
    type Rotary: RotaryShape;
    /// Rows of 8-bit integers with a scale each, in the device's memory.
    type Quantised: MatrixShape;

    /// Name for people and metadata: `cpu`.
    fn name(&self) -> &str;

    /// What computes, for people: an instruction set, or the name of a card.
    fn hardware(&self) -> &str {
        self.name()
    }

    /// The type of the numbers that products are made of, unless weights in blocks are multiplied as the integers that they
    /// are: `f32` or `bf16`.
    fn arithmetic(&self) -> &'static str {
        "f32"
    }

    /// Whether weights that are rounded to integers are multiplied as such when all numbers of a row have one factor; else each
    /// group of 32 may as well have its own, which is more exact.
    fn wants_rows_of_integers(&self) -> bool {
        false
    }

    /// Notes from here on what each kind of work takes, which costs time itself; whether the device can tell.
    fn note_times(&self) -> bool {
        false
    }

    /// What was noted, the longest first; nothing is noted afterwards.
    ///
    /// # Errors
    /// As every operation.
    fn noted_times(&self) -> Result<Vec<WorkTime>> {
        Ok(Vec::new())
    }

    /// How work has to be divided.
    fn limits(&self) -> DeviceLimits;

    /// Bytes that convolutions of up to `channels` channels keep for themselves beside their operands.
    fn convolution_scratch(&self, channels: usize) -> u64 {
        let _ = channels;
        0
    }

    /// Room for `numbers` numbers, whose values are unspecified until they are written.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Device`] when there is no room.
    fn allocate(&self, numbers: usize, precision: Precision) -> Result<Self::Buffer>;

    /// A buffer that holds `values`, exactly. Taken by value: a device in host memory keeps them where they are.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Device`] when there is no room.
    fn upload(&self, values: Vec<f32>) -> Result<Self::Buffer>;

    /// Copies `values`, row after row, into `out`.
    ///
    /// # Errors
    /// As every operation.
    fn write(&self, values: &[f32], out: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Waits for everything that was asked before, then copies `from`, row after row, into `values`.
    ///
    /// # Errors
    /// As every operation, and those of the operations before it.
    fn read(&self, from: View<'_, Self::Buffer>, values: &mut [f32]) -> Result<()>;

    /// Copies `[rows, cols]` between buffers; strides may differ.
    ///
    /// # Errors
    /// As every operation.
    fn copy(&self, from: View<'_, Self::Buffer>, out: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Takes a weight matrix over. The processor shares the bytes of its file; a device with memory of its own copies
    /// and converts them.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Device`] when there is no room.
    fn weight(&self, matrix: &Matrix) -> Result<Self::Weight>;

    /// As [`Device::weight`], for [`Device::convolve`].
    ///
    /// # Errors
    /// As [`Device::weight`].
    fn convolution_weight(&self, matrix: &Matrix) -> Result<Self::Weight> {
        self.weight(matrix)
    }

    /// Bytes that so many numbers of a matrix take here, when they are stored as `element`; `None`: as many as they are stored in.
    fn kept_bytes(&self, element: Element, numbers: usize) -> Option<u64> {
        let _ = (element, numbers);
        None
    }

    /// Takes a rotary table over: `angles` `[tokens, head_dim / 2]`, in the precision that diffusers computes them in.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Internal`] when `angles` is not a whole number of tokens or `head_dim` is odd.
    fn rotary(&self, angles: &[f64], head_dim: usize) -> Result<Self::Rotary>;

    /// Row `ids[i]` of `table` to row `i` of `out`: an embedding.
    ///
    /// # Errors
    /// As every operation; an id beyond the table is [`afterimage_core::Error::Internal`].
    fn gather(&self, table: &Self::Weight, ids: &[u32], out: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// `x [rows, inputs] · weightᵀ + bias`, finished into `out [rows, outputs]`.
    ///
    /// # Errors
    /// As every operation.
    fn product(
        &self,
        x: View<'_, Self::Buffer>,
        layer: Dense<'_, Self::Weight, Self::Buffer>,
        finish: Finish<'_, Self::Buffer>,
        out: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `softmax(q kᵀ · scale + bias) v` to `out [queries, width]`.
    ///
    /// # Errors
    /// As every operation.
    fn attention(&self, attention: Attention<'_, Self::Buffer>, out: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Normalises every row of `x` into `out` of the same shape.
    ///
    /// # Errors
    /// As every operation.
    fn norm(
        &self,
        x: View<'_, Self::Buffer>,
        norm: Norm<'_, Self::Buffer>,
        epsilon: f32,
        out: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// Normalises and rotates every head of `x [tokens, heads × head_dim]` in place.
    ///
    /// # Errors
    /// As every operation.
    fn rotate_heads(&self, norm: HeadNorm<'_, Self::Rotary, Self::Buffer>, x: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Convolves `input` into the planes `out [outputs, height × width]` without gaps, of the size that the movement
    /// makes of the input's.
    ///
    /// # Errors
    /// As every operation.
    fn convolve(
        &self,
        convolution: Convolution<'_, Self::Weight, Self::Buffer>,
        input: Planes<'_, Self::Buffer>,
        out: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// The largest number of every 3×3 window of a plane to `out [channels, (height / 2) × (width / 2)]`. Windows are two
    /// rows and columns apart from the first ones on; what would lie below or right of the plane does not count. NaN is
    /// larger than any number.
    ///
    /// # Errors
    /// As every operation.
    fn max_pool(&self, input: Planes<'_, Self::Buffer>, out: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Scales, then shifts, to `out [2, channels]`, with which `x * scale[channel] + shift[channel]` is the group norm.
    ///
    /// # Errors
    /// As every operation.
    fn group_norm(&self, norm: GroupNorm<'_, Self::Buffer>, out: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Every row of `x` as 8-bit integers and one scale: `x / scale` rounded to the nearest integer, halves to even,
    /// where `scale` is the row's largest magnitude / 127; a row of zeros has scale 0. For products of integers.
    ///
    /// # Errors
    /// As every operation.
    fn quantise_rows(&self, x: View<'_, Self::Buffer>) -> Result<Self::Quantised>;

    /// Integers times their row's scale, to `out` of the same shape.
    ///
    /// # Errors
    /// As every operation.
    fn dequantise_rows(&self, rows: &Self::Quantised, out: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// `x = function(x)`
    ///
    /// # Errors
    /// As every operation.
    fn activate(&self, function: Activation, x: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Combines `y` into `x` of the same shape; a `y` of one row counts for every row of `x`.
    ///
    /// # Errors
    /// As every operation.
    fn combine(&self, how: Combine, y: View<'_, Self::Buffer>, x: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Mean magnitudes, to `out [1, 2]`: that of `x − y`, then that of `y`, of one shape. The order in which numbers are
    /// added up depends on the shape alone, so that whatever is decided by them is decided the same every time.
    ///
    /// # Errors
    /// As every operation.
    fn magnitudes(
        &self,
        x: View<'_, Self::Buffer>,
        y: View<'_, Self::Buffer>,
        out: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// Transposes into `out`.
    ///
    /// # Errors
    /// As every operation.
    fn transpose(&self, transpose: Transpose<'_, Self::Buffer>, out: ViewMut<'_, Self::Buffer>) -> Result<()>;
}
