//! Two-dimensional convolutions over planes `[channels, height, width]` with what surrounds them in a VAE fused in.
//!
//! The input is never copied as a whole: a task takes a small part of the output, brings the patch of the input it
//! needs into its cache, where normalisation, activation, zero padding and nearest-neighbour enlargement are applied on the
//! way, unfolds or transforms it there, and multiplies. Memory beyond input and output: the packed weights and some MB a thread.
//!
//! | file | what |
//! |---|---|
//! | `shape.rs` | what a convolution is |
//! | `patch.rs` | lines of the input as the kernel sees them |
//! | `direct.rs` | any kernel and movement, by the definition |
//! | `winograd/` | 3×3 kernels that move by one pixel, with a quarter of the multiplications |

mod direct;
mod patch;
mod shape;
mod winograd;

pub use shape::{Convolution, Movement, Planes, Prelude};

use crate::simd::Isa;

/// Bytes that convolutions of up to `channels` channels keep for themselves, with the threads that there are.
pub fn scratch_bytes(channels: usize) -> u64 {
    winograd::scratch_bytes(channels)
}

impl Convolution<'_> {
    /// Convolves `input` into `out`, planes of [`Movement::output_side`].
    ///
    /// # Panics
    /// When a length does not fit.
    pub fn run(&self, input: Planes, out: &mut [f32]) {
        self.run_on(Isa::detect(), input, out);
    }

    /// [`Convolution::run`] with a chosen instruction set.
    ///
    /// # Panics
    /// As [`Convolution::run`].
    pub fn run_on(&self, isa: Isa, input: Planes, out: &mut [f32]) {
        let area = self.kernel * self.kernel;
        let (outputs, depth) = (self.weight.rows(), self.weight.cols());
        let (height, width) = (self.movement.output_side(input.height), self.movement.output_side(input.width));
        assert!(self.kernel % 2 == 1, "odd kernels only");
        assert_eq!(depth, input.channels * area, "weight of {} input channels", input.channels);
        assert_eq!(input.data.len(), input.channels * input.height * input.width, "input planes");
        assert_eq!(out.len(), outputs * height * width, "output planes");
        assert_eq!(self.bias.len(), outputs, "bias");
        if let Prelude::AffineSilu { scale, shift } = self.prelude {
            assert!(scale.len() == input.channels && shift.len() == input.channels, "scale and shift per channel");
        }
        if outputs == 0 || height == 0 || width == 0 {
            return;
        }
        if winograd::pays(self, &input) {
            winograd::convolve(isa, self, input, out);
        } else {
            direct::convolve(isa, self, input, out);
        }
    }
}

#[cfg(test)]
mod tests;
