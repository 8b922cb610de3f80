//! `config.json` of the components that diffusers configures: transformer, VAE, scheduler.
//!
//! A configuration is read, then every field is checked before anything is allocated from it. Defaults for absent
//! fields are those of the diffusers classes. The encoders' configurations stand beside their models.

pub(crate) mod check;
mod flux;
mod scheduler;
mod vae;

pub use flux::FluxConfig;
pub use scheduler::SchedulerConfig;
pub use vae::VaeConfig;
