//! Functions of numbers, rows as integers, magnitudes.

use super::launching::blocks;
use crate::buffer::{BufferPlace, CudaBuffer, NumberType};
use crate::cuda::Cuda;
use crate::kernel_name::KernelName;
use crate::kernels::{KernelArguments, LoadedKernel};
use crate::memory::CardMemory;
use afterimage_core::{Error, Result};
use afterimage_device::{Activation, Combine, MatrixShape, View, ViewMut};

/// Rows of 8-bit integers and their scales.
pub struct CudaQuantised {
    pub(super) values: CardMemory,
    pub(super) scales: CardMemory,
    rows: usize,
    cols: usize,
}

impl MatrixShape for CudaQuantised {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }
}

impl Cuda {
    /// See [`afterimage_device::Device::quantise_rows`]; everything was checked.
    pub(super) fn quantise(&self, x: View<'_, CudaBuffer>) -> Result<CudaQuantised> {
        let x = BufferPlace::of(x);
        self.quantise_with(self.kernel(KernelName::of(["quantise", x.number.name(), "i8"]))?, &x)
    }

    /// Rows as numbers of a byte and a scale each, as `kernel` makes them.
    pub(super) fn quantise_with(&self, kernel: &LoadedKernel, x: &BufferPlace) -> Result<CudaQuantised> {
        let values = self.pool.allocate(x.numbers())?;
        let scales = self.pool.allocate(4 * x.rows)?;
        let arguments = KernelArguments::new()
            .pointer(x.address)
            .pointer(values.address())
            .pointer(scales.address())
            .integer(x.rows)
            .integer(x.cols)
            .integer(x.stride);
        self.launch(kernel, [x.rows, 1, 1], &arguments)?;
        Ok(CudaQuantised { values, scales, rows: x.rows, cols: x.cols })
    }

    /// See [`afterimage_device::Device::dequantise_rows`]; everything was checked.
    pub(super) fn dequantise(&self, rows: &CudaQuantised, out: &ViewMut<'_, CudaBuffer>) -> Result<()> {
        let to = BufferPlace::of_mut(out);
        let kernel = self.kernel(KernelName::of(["dequantise", to.number.name()]))?;
        let arguments = KernelArguments::new()
            .pointer(rows.values.address())
            .pointer(rows.scales.address())
            .pointer(to.address)
            .integer(rows.rows)
            .integer(rows.cols)
            .integer(to.stride);
        self.launch(kernel, [to.rows, blocks(to.cols, kernel.tile().cols), 1], &arguments)
    }

    /// See [`afterimage_device::Device::activate`]; everything was checked.
    pub(super) fn apply(&self, function: Activation, x: &ViewMut<'_, CudaBuffer>) -> Result<()> {
        let x = BufferPlace::of_mut(x);
        let kernel = self.kernel(KernelName::of(["activate", x.number.name()]))?;
        let number = match function {
            Activation::Silu => 0,
            Activation::QuickGelu => 1,
            Activation::Gelu => 2,
            Activation::GeluTanh => 3,
            Activation::Relu => 4,
        };
        let arguments =
            KernelArguments::new().pointer(x.address).integer(x.rows).integer(x.cols).integer(x.stride).integer(number);
        self.launch(kernel, [x.rows, blocks(x.cols, kernel.tile().cols), 1], &arguments)
    }

    /// See [`afterimage_device::Device::combine`]; everything was checked.
    pub(super) fn combine_rows(
        &self,
        how: Combine,
        y: View<'_, CudaBuffer>,
        x: &ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        self.combine_places(how, BufferPlace::of(y), BufferPlace::of_mut(x))
    }

    /// The same of places that were checked.
    pub(super) fn combine_places(&self, how: Combine, y: BufferPlace, x: BufferPlace) -> Result<()> {
        let kernel = self.kernel(KernelName::of(["combine", y.number.name(), x.number.name()]))?;
        let (number, factor) = match how {
            Combine::Add { factor } => (0, factor),
            Combine::Multiply => (1, 1.0),
        };
        let arguments = KernelArguments::new()
            .pointer(y.address)
            .pointer(x.address)
            .integer(x.rows)
            .integer(x.cols)
            .integer(if y.rows == 1 { 0 } else { y.stride })
            .integer(x.stride)
            .integer(number)
            .float(factor);
        self.launch(kernel, [x.rows, blocks(x.cols, kernel.tile().cols), 1], &arguments)
    }

    /// See [`afterimage_device::Device::magnitudes`]; everything was checked.
    pub(super) fn mean_magnitudes(
        &self,
        x: View<'_, CudaBuffer>,
        y: View<'_, CudaBuffer>,
        out: &ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        let (x, y, out) = (BufferPlace::of(x), BufferPlace::of(y), BufferPlace::of_mut(out));
        if out.number != NumberType::F32 {
            return Err(Error::internal("magnitudes: expected exact numbers"));
        }
        let partial = self.buffer(2 * x.rows, NumberType::F32)?;
        let kernel = self.kernel(KernelName::of(["magnitudes", "partial", x.number.name(), y.number.name()]))?;
        let arguments = KernelArguments::new()
            .pointer(x.address)
            .pointer(y.address)
            .pointer(partial.memory.address())
            .integer(x.rows)
            .integer(x.cols)
            .integer(x.stride)
            .integer(y.stride);
        self.launch(kernel, [x.rows, 1, 1], &arguments)?;
        let arguments = KernelArguments::new()
            .pointer(partial.memory.address())
            .pointer(out.address)
            .integer(x.rows)
            .float(x.numbers() as f32);
        self.launch(self.kernel(KernelName::of(["magnitudes", "finish"]))?, [1, 1, 1], &arguments)
    }
}
