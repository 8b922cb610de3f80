//! Numbers to and from the card, and from one place to another there.

use super::launching::blocks;
use crate::buffer::{BufferPlace, CudaBuffer, NumberType};
use crate::cuda::Cuda;
use crate::failure::CardFailure;
use crate::kernel_name::KernelName;
use crate::kernels::KernelArguments;
use crate::weight::{CudaWeight, WeightKind};
use afterimage_core::Result;
use afterimage_device::{MatrixShape, View, ViewMut};

impl Cuda {
    /// Exact numbers in a buffer of their own.
    pub(super) fn upload_numbers(&self, values: &[f32]) -> Result<CudaBuffer> {
        let buffer = self.buffer(values.len(), NumberType::F32)?;
        // SAFETY: the buffer has room for as many.
        unsafe { self.copy_and_wait(bytes_of(values), buffer.memory.address()) }?;
        Ok(buffer)
    }

    /// See [`afterimage_device::Device::write`]; everything was checked.
    pub(super) fn write_numbers(&self, values: &[f32], out: &ViewMut<'_, CudaBuffer>) -> Result<()> {
        let to = BufferPlace::of_mut(out);
        if to.number == NumberType::F32 && to.is_gapless() {
            // SAFETY: the view holds as many numbers, checked by the caller.
            return unsafe { self.copy_and_wait(bytes_of(values), to.address) };
        }
        let buffer = self.upload_numbers(values)?;
        self.copy_places(BufferPlace::of(View::new(&buffer, to.rows, to.cols)), to)
    }

    /// See [`afterimage_device::Device::read`]; everything was checked.
    pub(super) fn read_numbers(&self, from: View<'_, CudaBuffer>, values: &mut [f32]) -> Result<()> {
        let place = BufferPlace::of(from);
        let mut exact = None;
        let address = if place.number == NumberType::F32 && place.is_gapless() {
            place.address
        } else {
            let buffer = exact.insert(self.buffer(place.numbers(), NumberType::F32)?);
            let to = BufferPlace::of(View::new(&*buffer, place.rows, place.cols));
            self.copy_places(place, to)?;
            to.address
        };
        // SAFETY: every bit pattern is an f32.
        let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) };
        // SAFETY: as many numbers are there, checked by the caller.
        unsafe { self.stream.copy_to_host(address, bytes) }.map_err(CardFailure::of)
    }

    /// See [`afterimage_device::Device::copy`]; everything was checked.
    pub(super) fn copy_rows(&self, from: View<'_, CudaBuffer>, out: &ViewMut<'_, CudaBuffer>) -> Result<()> {
        self.copy_places(BufferPlace::of(from), BufferPlace::of_mut(out))
    }

    pub(super) fn copy_places(&self, from: BufferPlace, to: BufferPlace) -> Result<()> {
        let name = KernelName::of(["copy", from.number.name(), to.number.name()]);
        let arguments = KernelArguments::new()
            .pointer(from.address)
            .pointer(to.address)
            .integer(from.rows)
            .integer(from.cols)
            .integer(from.stride)
            .integer(to.stride);
        let kernel = self.kernel_for(name, &arguments)?;
        self.launch(kernel, [from.rows, blocks(from.cols, kernel.tile().cols), 1], &arguments)
    }

    /// See [`afterimage_device::Device::gather`]; everything was checked.
    pub(super) fn gather_rows(&self, table: &CudaWeight, ids: &[u32], out: &ViewMut<'_, CudaBuffer>) -> Result<()> {
        let to = BufferPlace::of_mut(out);
        if to.numbers() == 0 {
            return Ok(());
        }
        if table.layout.kind == WeightKind::RowsOfI8 {
            return self.gather_integers(table, ids, &to);
        }
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let ids = self.uploaded(&bytes)?;
        let kernel = self.kernel(KernelName::of(["gather", table.layout.kind.name(), to.number.name()]))?;
        let weight = table.in_use()?;
        let parts = weight.parts();
        let arguments = KernelArguments::new()
            .pointer(parts.values)
            .pointer(parts.factors)
            .pointer(parts.offsets)
            .pointer(parts.row_scales)
            .pointer(ids.address())
            .pointer(to.address)
            .integer(to.rows)
            .integer(table.cols())
            .integer(to.stride)
            .flag(parts.offsets != 0);
        self.launch(kernel, [to.rows, blocks(to.cols, kernel.tile().cols), 1], &arguments)?;
        weight.done()
    }

    /// Rows of a table that happens to be of integers with one factor a row, one by one: tables are rounded otherwise.
    fn gather_integers(&self, table: &CudaWeight, ids: &[u32], to: &BufferPlace) -> Result<()> {
        let kernel = self.kernel(KernelName::of(["dequantise", to.number.name()]))?;
        let weight = table.in_use()?;
        let parts = weight.parts();
        for (row, id) in ids.iter().enumerate() {
            let (row, id) = (row as u64, u64::from(*id));
            let arguments = KernelArguments::new()
                .pointer(parts.values + id * table.cols() as u64)
                .pointer(parts.row_scales + 4 * id)
                .pointer(to.address + row * (to.stride * to.number.bytes()) as u64)
                .integer(1)
                .integer(table.cols())
                .integer(to.stride);
            self.launch(kernel, [1, blocks(to.cols, kernel.tile().cols), 1], &arguments)?;
        }
        weight.done()
    }
}

/// Numbers as the card keeps them: little-endian, as every host that a card is in.
fn bytes_of(values: &[f32]) -> &[u8] {
    // SAFETY: plain numbers without padding.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}
