//! Kernels by their names, and their launches.

use crate::cuda::Cuda;
use crate::kernel_name::KernelName;
use crate::kernels::{KernelArguments, LoadedKernel};
use afterimage_core::{Error, Result};

impl Cuda {
    /// The kernel of a name.
    ///
    /// # Errors
    /// [`Error::Device`] when this card has none, or none that passed its self-test.
    pub(super) fn kernel(&self, name: KernelName) -> Result<&LoadedKernel> {
        self.kernels.find(name).ok_or_else(|| {
            self.kernels.note_missing();
            let problem = format!("has no usable kernel {name}; `afterimage doctor` says why, --device cpu works");
            Error::Device { device: self.name.clone(), problem }
        })
    }

    /// The kernel of a name for aligned operands, where these are and there is one; else the one for all.
    pub(super) fn kernel_for(&self, name: KernelName, arguments: &KernelArguments) -> Result<&LoadedKernel> {
        self.kernels.find_aligned(name, arguments).map_or_else(|| self.kernel(name), Ok)
    }

    /// Launches `kernel`; every caller's addresses come from views that were checked against their buffers, and its grid
    /// from the same numbers.
    pub(super) fn launch(&self, kernel: &LoadedKernel, grid: [usize; 3], arguments: &KernelArguments) -> Result<()> {
        let mut blocks = [0_u32; 3];
        for (blocks, wanted) in blocks.iter_mut().zip(grid) {
            *blocks = u32::try_from(wanted).map_err(|_| Error::internal("a grid beyond 32 bits"))?;
        }
        // CUDA C++ programming guide, compute capabilities: the second and third side of a grid.
        if blocks[0] > i32::MAX.cast_unsigned() || blocks[1].max(blocks[2]) > 65_535 {
            let problem = format!("{} on a grid of {blocks:?}; use a smaller size", kernel.variant.name);
            return Err(Error::Device { device: self.name.clone(), problem });
        }
        // SAFETY: see above: `kernels/README.md` says which numbers a kernel reads and writes, each operation asks
        // `afterimage_device::check` whether its views hold them, and temporary buffers are made for them.
        unsafe { self.kernels.launch(&self.stream, kernel, blocks, arguments) }
    }
}

/// Blocks for `numbers` in parts of `tile`.
pub(super) fn blocks(numbers: usize, tile: u32) -> usize {
    numbers.div_ceil(tile.max(1) as usize)
}
