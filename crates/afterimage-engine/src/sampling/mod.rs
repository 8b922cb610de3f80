//! Noise schedule and random numbers, equal to diffusers' and torch's.

mod noise;
mod sigmas;
mod spherical;

#[cfg(test)]
mod tests;

pub use noise::TorchGenerator;
pub use sigmas::{img2img_start, log_shift, refining_sigmas, sigmas, timesteps};
pub use spherical::spherical_mix;
