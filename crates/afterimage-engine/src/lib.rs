//! FLUX.1 Redux variations and image-to-image: weights, models, sampling and the pipelines that put them together.
//!
//! This crate knows nothing of jobs or HTTP.

mod engine;
mod options;
pub mod weights;

pub use engine::{Engine, Generation, Observer, Silent, Stage, Timings};
pub use options::{DeviceChoice, DtypeChoice, EngineOptions};
