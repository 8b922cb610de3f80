//! Lines of a convolution's input as its kernel sees them: normalised, activated, enlarged and padded.

use super::shape::{Convolution, Movement, Planes, Prelude};
use crate::simd::Simd;
use crate::tile::MAX_COLUMNS;

/// The input of a convolution; coordinates are those of the enlarged input, and what lies outside it is zero.
#[derive(Clone, Copy)]
pub(super) struct PaddedInput<'a> {
    pub convolution: &'a Convolution<'a>,
    pub planes: Planes<'a>,
}

impl PaddedInput<'_> {
    /// Fills `line` with the numbers of row `y` of `channel`, from column `first_x` on.
    ///
    /// # Safety
    /// The machine has `S`'s instruction set.
    #[inline(always)]
    pub unsafe fn fill_line<S: Simd>(&self, channel: usize, y: isize, first_x: isize, line: &mut [f32]) {
        let (height, width) = (self.planes.height, self.planes.width);
        let enlarged = if self.convolution.movement == Movement::Double { 2 } else { 1 };
        if y < 0 || y >= (height * enlarged) as isize {
            line.fill(0.0);
            return;
        }
        let source = &self.planes.data[(channel * height + y as usize / enlarged) * width..][..width];
        // Columns of the line that lie inside the (enlarged) input.
        let inside_start = (-first_x).clamp(0, line.len() as isize) as usize;
        let inside_end =
            ((width * enlarged) as isize - first_x).clamp(inside_start as isize, line.len() as isize) as usize;
        line[..inside_start].fill(0.0);
        line[inside_end..].fill(0.0);
        let inside = &mut line[inside_start..inside_end];
        let first = (first_x + inside_start as isize) as usize;
        if enlarged == 1 {
            inside.copy_from_slice(&source[first..first + inside.len()]);
        } else {
            for (offset, value) in inside.iter_mut().enumerate() {
                let x = first + offset;
                *value = source[x / 2];
            }
        }
        if let Prelude::AffineSilu { scale, shift } = self.convolution.prelude {
            // SAFETY: the caller's promise.
            unsafe { affine_silu::<S>(inside, scale[channel], shift[channel]) };
        }
    }
}

#[inline(always)]
unsafe fn affine_silu<S: Simd>(values: &mut [f32], scale: f32, shift: f32) {
    // SAFETY: whole vectors lie inside the slice; the rest goes through a local one.
    unsafe {
        let (scale, shift) = (S::splat(scale), S::splat(shift));
        let mut chunks = values.chunks_exact_mut(S::LANES);
        for chunk in &mut chunks {
            S::store(chunk.as_mut_ptr(), S::silu(S::fma(S::load(chunk.as_ptr()), scale, shift)));
        }
        let rest = chunks.into_remainder();
        let mut local = [0.0_f32; MAX_COLUMNS];
        local[..rest.len()].copy_from_slice(rest);
        S::store(local.as_mut_ptr(), S::silu(S::fma(S::load(local.as_ptr()), scale, shift)));
        rest.copy_from_slice(&local[..rest.len()]);
    }
}
