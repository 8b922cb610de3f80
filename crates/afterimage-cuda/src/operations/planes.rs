//! Convolutions and what else works on planes.

use super::launching::blocks;
use crate::buffer::{BufferPlace, CudaBuffer, vector};
use crate::cuda::Cuda;
use crate::kernel_name::KernelName;
use crate::kernels::KernelArguments;
use crate::weight::CudaWeight;
use afterimage_core::{Error, Result};
use afterimage_device::{Convolution, MatrixShape, Movement, Planes, Prelude, Transpose, View, ViewMut};

impl Cuda {
    /// See [`afterimage_device::Device::convolve`]; everything was checked.
    pub(super) fn convolve_planes(
        &self,
        convolution: &Convolution<'_, CudaWeight, CudaBuffer>,
        input: Planes<'_, CudaBuffer>,
        out: &ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        let Convolution { weight, bias, kernel: side, movement, ref prelude, add } = *convolution;
        let affine = match *prelude {
            Prelude::None => 0,
            Prelude::AffineSilu(affine) => {
                vector(View { rows: 1, cols: 2 * affine.cols, ..gapless(affine)? }, "affine")?
            }
        };
        let (from, to) = (BufferPlace::of(input.view()), BufferPlace::of_mut(out));
        if to.numbers() == 0 {
            return Ok(());
        }
        let [out_height, out_width] = [input.height, input.width].map(|side| movement.output_side(side));
        // Pixels from one position to the next, padding before the first, whether pixels are doubled first.
        let (step, before, double) = match movement {
            Movement::Same => (1, side / 2, false),
            // Zeros on the right and bottom only.
            Movement::Halve => (2, 0, false),
            Movement::Strided => (2, side / 2, false),
            Movement::Double => (1, side / 2, true),
        };
        let name = KernelName::of(["convolve", from.number.name(), weight.layout.kind.name(), to.number.name()]);
        let used = weight.in_use()?;
        let arguments = KernelArguments::new()
            .pointer(from.address)
            .pointer(used.parts().values)
            .pointer(vector(bias, "bias")?)
            .pointer(affine)
            .pointer(to.address)
            .integer(input.channels)
            .integer(input.height)
            .integer(input.width)
            .integer(out_height)
            .integer(out_width)
            .integer(weight.rows())
            .integer(side)
            .integer(step)
            .integer(before)
            .flag(double)
            .flag(affine != 0)
            .flag(add);
        let kernel = self.kernel_for(name, &arguments)?;
        let tile = kernel.tile();
        let grid = [blocks(out_height * out_width, tile.pixels), blocks(weight.rows(), tile.outputs), 1];
        self.launch(kernel, grid, &arguments)?;
        used.done()
    }

    /// See [`afterimage_device::Device::max_pool`]; everything was checked.
    pub(super) fn pool_planes(&self, input: Planes<'_, CudaBuffer>, out: &ViewMut<'_, CudaBuffer>) -> Result<()> {
        let (from, to) = (BufferPlace::of(input.view()), BufferPlace::of_mut(out));
        if from.number != to.number || !to.is_gapless() {
            let mut gapless = self.buffer(to.numbers(), from.number)?;
            self.pool_planes(input, &ViewMut::new(&mut gapless, to.rows, to.cols))?;
            return self.copy_rows(View::new(&gapless, to.rows, to.cols), out);
        }
        let kernel = self.kernel(KernelName::of(["max_pool", from.number.name()]))?;
        let arguments = KernelArguments::new()
            .pointer(from.address)
            .pointer(to.address)
            .integer(input.channels)
            .integer(input.height)
            .integer(input.width);
        self.launch(kernel, [blocks(to.numbers(), kernel.tile().numbers), 1, 1], &arguments)
    }

    /// See [`afterimage_device::Device::transpose`]; everything was checked.
    pub(super) fn transpose_rows(
        &self,
        transpose: &Transpose<'_, CudaBuffer>,
        out: &ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        let affine = match transpose.affine {
            Some(affine) => vector(View { rows: 1, cols: 2 * affine.cols, ..gapless(affine)? }, "affine")?,
            None => 0,
        };
        let (from, to) = (BufferPlace::of(transpose.input), BufferPlace::of_mut(out));
        let kernel = self.kernel(KernelName::of(["transpose", from.number.name(), to.number.name()]))?;
        let arguments = KernelArguments::new()
            .pointer(from.address)
            .pointer(affine)
            .pointer(to.address)
            .integer(from.rows)
            .integer(from.cols)
            .integer(from.stride)
            .integer(to.stride)
            .flag(affine != 0)
            .flag(transpose.add);
        let tile = kernel.tile();
        self.launch(kernel, [blocks(from.rows, tile.rows), blocks(from.cols, tile.cols), 1], &arguments)
    }
}

/// Two rows that follow each other.
fn gapless(affine: View<'_, CudaBuffer>) -> Result<View<'_, CudaBuffer>> {
    if affine.stride == affine.cols {
        Ok(affine)
    } else {
        Err(Error::internal("scale and shift: expected rows without gaps"))
    }
}
