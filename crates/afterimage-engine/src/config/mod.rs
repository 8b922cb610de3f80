//! `config.json` of the components that diffusers configures: transformer, VAE, scheduler; and `afterimage.json`.
//!
//! A configuration is read, then every field is checked before anything is allocated from it. Defaults for absent
//! fields are those of the diffusers classes. The encoders' configurations stand beside their models.

mod afterimage;
pub(crate) mod check;
mod depth;
mod flux;
mod scheduler;
mod vae;

pub(crate) use depth::beyond;

pub use afterimage::{AfterimageConfig, EnlargeConfig};
pub use depth::{Beyond, Depth};
pub use flux::FluxConfig;
pub use scheduler::SchedulerConfig;
pub use vae::VaeConfig;
