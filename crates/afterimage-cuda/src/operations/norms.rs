//! Norms of rows, of heads with their rotation, and of groups of planes.

use super::launching::blocks;
use crate::buffer::{BufferPlace, CudaBuffer, NumberType, vector};
use crate::cuda::Cuda;
use crate::kernel_name::KernelName;
use crate::kernels::KernelArguments;
use crate::memory::CardMemory;
use afterimage_core::Result;
use afterimage_device::{GroupNorm, HeadNorm, Norm, RotaryShape, View, ViewMut};

/// Numbers of a group that one block measures.
const PART: usize = 1 << 15;

/// Cosines and sines in the card's memory.
pub struct CudaRotary {
    cosines: CardMemory,
    sines: CardMemory,
    tokens: usize,
    head_dim: usize,
}

impl RotaryShape for CudaRotary {
    fn tokens(&self) -> usize {
        self.tokens
    }

    fn head_dim(&self) -> usize {
        self.head_dim
    }
}

impl Cuda {
    pub(super) fn rotary_table(&self, angles: &[f64], head_dim: usize) -> Result<CudaRotary> {
        let table = |function: fn(f64) -> f64| {
            let bytes: Vec<u8> = angles.iter().flat_map(|angle| (function(*angle) as f32).to_le_bytes()).collect();
            self.uploaded(&bytes)
        };
        let tokens = angles.len() / (head_dim / 2);
        Ok(CudaRotary { cosines: table(f64::cos)?, sines: table(f64::sin)?, tokens, head_dim })
    }

    /// See [`afterimage_device::Device::norm`]; everything was checked.
    pub(super) fn norm_rows(
        &self,
        x: View<'_, CudaBuffer>,
        norm: &Norm<'_, CudaBuffer>,
        epsilon: f32,
        out: &ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        let (kind, a, b) = match *norm {
            Norm::Layer { weight, bias } => ("layer", vector(weight, "weight")?, vector(bias, "bias")?),
            Norm::Modulated { scale, shift } => ("modulated", vector(scale, "scale")?, vector(shift, "shift")?),
            Norm::Rms { weight } => ("rms", vector(weight, "weight")?, 0),
        };
        let (x, out) = (BufferPlace::of(x), BufferPlace::of_mut(out));
        let name = KernelName::of(["norm", kind, x.number.name(), out.number.name()]);
        let arguments = KernelArguments::new()
            .pointer(x.address)
            .pointer(a)
            .pointer(b)
            .pointer(out.address)
            .integer(x.rows)
            .integer(x.cols)
            .integer(x.stride)
            .integer(out.stride)
            .float(epsilon);
        self.launch(self.kernel_for(name, &arguments)?, [x.rows, 1, 1], &arguments)
    }

    /// See [`afterimage_device::Device::rotate_heads`]; everything was checked.
    pub(super) fn rotate(
        &self,
        norm: &HeadNorm<'_, CudaRotary, CudaBuffer>,
        heads: usize,
        x: &ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        let x = BufferPlace::of_mut(x);
        let kernel = self.kernel(KernelName::of(["rotate_heads", x.number.name()]))?;
        let arguments = KernelArguments::new()
            .pointer(x.address)
            .pointer(vector(norm.weight, "weight")?)
            .pointer(norm.rotary.cosines.address())
            .pointer(norm.rotary.sines.address())
            .integer(x.rows)
            .integer(heads)
            .integer(norm.rotary.head_dim)
            .integer(x.stride)
            .integer(norm.first_token)
            .float(norm.epsilon);
        self.launch(kernel, [x.rows, blocks(heads, kernel.tile().heads), 1], &arguments)
    }

    /// See [`afterimage_device::Device::group_norm`]; everything was checked.
    pub(super) fn group_affine(&self, norm: &GroupNorm<'_, CudaBuffer>, out: &ViewMut<'_, CudaBuffer>) -> Result<()> {
        let input = BufferPlace::of(norm.input.view());
        let to = BufferPlace::of_mut(out);
        if to.number != NumberType::F32 || !to.is_gapless() {
            let mut gapless = self.buffer(to.numbers(), NumberType::F32)?;
            self.group_affine(norm, &ViewMut::new(&mut gapless, to.rows, to.cols))?;
            return self.copy_rows(View::new(&gapless, to.rows, to.cols), out);
        }
        let channels = norm.input.channels;
        let (in_group, pixels) = (channels / norm.groups, input.cols);
        if channels == 0 || pixels == 0 {
            return Ok(());
        }
        let splits = (in_group * pixels).div_ceil(PART);
        let partial = self.buffer(norm.groups * splits * 3, NumberType::F32)?;
        let kernel = self.kernel(KernelName::of(["group_norm", "partial", input.number.name()]))?;
        let arguments = KernelArguments::new()
            .pointer(input.address)
            .pointer(partial.memory.address())
            .integer(pixels)
            .integer(in_group)
            .integer(splits);
        self.launch(kernel, [norm.groups, splits, 1], &arguments)?;
        let arguments = KernelArguments::new()
            .pointer(partial.memory.address())
            .pointer(vector(norm.weight, "weight")?)
            .pointer(vector(norm.bias, "bias")?)
            .pointer(to.address)
            .integer(channels)
            .integer(in_group)
            .integer(splits)
            .float(norm.epsilon);
        self.launch(self.kernel(KernelName::of(["group_norm", "finish"]))?, [norm.groups, 1, 1], &arguments)
    }
}
