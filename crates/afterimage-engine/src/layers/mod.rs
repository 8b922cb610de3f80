//! Small operations that the encoders share: plain functions on f32 slices, parallel over rows.
//!
//! Matrix products and attention are `afterimage_kernels`' business; what is here costs little beside them.

mod activation;
mod linear;
mod norm;

pub use activation::{add, gelu_erf, gelu_tanh, multiply, quick_gelu, silu};
pub use linear::Linear;
pub use norm::{layer_norm, rms_norm};

/// Numbers that one task handles: enough to repay handing it to another thread.
const NUMBERS_PER_TASK: usize = 16 * 1024;
