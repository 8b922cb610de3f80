//! FLUX.1 Redux variations and image-to-image: weights, models, sampling and the pipeline that puts them together.
//!
//! This crate knows nothing of jobs or HTTP.

pub mod bench;
mod bundle;
#[cfg(feature = "gpu")]
mod cards;
pub mod config;
mod devices;
mod engine;
mod generation;
mod hub_cache;
pub mod inspect;
mod intact;
#[cfg(feature = "gpu")]
mod kept_self_tests;
pub mod layers;
mod memory;
pub mod models;
mod observer;
mod options;
#[cfg(test)]
mod parity;
mod picture_digest;
mod pipeline;
mod provenance;
mod safety;
pub mod sampling;
pub mod synth;
mod threads;
pub mod tokenizers;
pub mod weights;

#[cfg(feature = "gpu")]
pub use afterimage_cuda::SelfTest;
#[cfg(feature = "gpu")]
pub use cards::{CardsReport, ExaminedCard, examine_cards};
pub use devices::usable_cards;
pub use engine::Engine;
pub use generation::Generation;
pub use intact::check_weights;
pub use memory::{MemoryPlan, PlannedPart, Residency, usable_memory};
pub use observer::{Observer, Silent};
pub use options::{CacheThreshold, DeviceChoice, DtypeChoice, EngineOptions, LoraFile};
pub use picture_digest::picture_digest;
pub use provenance::{MetadataLevel, Recorded, encode_pictures};
pub use safety::{CheckerChoice, SafetyOptions, SafetyPreviews, StandaloneChecker, Verdict};
pub use threads::{usable_cores, use_threads};
