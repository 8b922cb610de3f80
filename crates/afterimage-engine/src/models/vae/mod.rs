//! The autoencoder (diffusers' `AutoencoderKL` as FLUX configures it) between pixels and latents.
//!
//! | file | what |
//! |---|---|
//! | `tensor.rs` | numbers in planes in host memory |
//! | `layers.rs` | convolutions, residual blocks, the attention in the middle |
//! | `encoder.rs`, `decoder.rs` | the two halves |
//! | `autoencoder.rs` | both halves, in one piece or in tiles |
//! | `tiling.rs` | large pictures in overlapping tiles, cross-faded |

mod autoencoder;
mod decoder;
mod encoder;
mod layers;
mod tensor;
mod tiling;

pub use autoencoder::Autoencoder;
pub use encoder::Posterior;
pub use tensor::{StopCheck, Tensor3};
