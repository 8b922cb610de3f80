//! A convolution and its input.

use afterimage_tensors::Matrix;

/// What is done to the input on its way in.
#[derive(Clone, Copy, Debug)]
pub enum Prelude<'a> {
    /// Nothing.
    None,
    /// `silu(x * scale[channel] + shift[channel])`: a group norm (its statistics folded into scale and shift by
    /// [`crate::norm::group_norm_affine`]) and its activation. Padding is added after it.
    AffineSilu {
        /// One number an input channel.
        scale: &'a [f32],
        /// One number an input channel.
        shift: &'a [f32],
    },
}

/// How the kernel moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// Step 1, zero padding of half the kernel on all sides: the output has the input's size.
    Same,
    /// Step 2, one column and row of zeros on the right and bottom only: half the size (the VAE's down-sampling).
    Halve,
    /// Step 2, zero padding of half the kernel on all sides: half the size, rounded up (a residual network's down-sampling).
    Strided,
    /// Each input pixel doubled in both directions first, then as `Same`: twice the size (the VAE's up-sampling).
    Double,
}

impl Movement {
    /// Height or width of the output for an input of `side`.
    pub const fn output_side(self, side: usize) -> usize {
        match self {
            Self::Same => side,
            Self::Halve => side / 2,
            Self::Strided => side.div_ceil(2),
            Self::Double => side * 2,
        }
    }

    /// Pixels from one position of the kernel to the next.
    pub(crate) const fn step(self) -> usize {
        match self {
            Self::Halve | Self::Strided => 2,
            Self::Same | Self::Double => 1,
        }
    }

    /// Rows and columns of padding before the first pixel, for a `kernel` of that side.
    pub(crate) const fn before(self, kernel: usize) -> usize {
        match self {
            Self::Halve => 0,
            Self::Same | Self::Strided | Self::Double => kernel / 2,
        }
    }
}

/// A picture in planes: `data[(channel * height + y) * width + x]`.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Planes.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
}

/// One convolution.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// `[outputs, inputs × kernel × kernel]`, as a `[outputs, inputs, kernel, kernel]` tensor is stored.
    pub weight: &'a Matrix,
    /// One number an output channel.
    pub bias: &'a [f32],
    /// Side of the square kernel, odd.
    pub kernel: usize,
    /// How it moves.
    pub movement: Movement,
    /// What is done to the input first.
    pub prelude: Prelude<'a>,
    /// Whether the result is added to what `out` holds (a residual connection) instead of replacing it.
    pub add: bool,
}
