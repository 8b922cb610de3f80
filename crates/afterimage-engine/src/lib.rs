//! FLUX.1 Redux variations and image-to-image: weights, models, sampling and the pipelines that put them together.
//!
//! This crate knows nothing of jobs or HTTP.

pub mod weights;
