//! Model files: folders, safetensors, name layouts.
//!
//! The way from a folder to a model: [`Bundle`] (a folder on disk or embedded) → [`Component`] (the tensors of
//! `transformer/`, `vae/`, …, by the names in the file) → [`layout`] (canonical names) → [`Scope`] (what a model's
//! constructor takes). Nothing is copied on the way: tensors are ranges of mapped files.

mod bundle;
mod component;
mod demo;
mod depth;
mod file_kind;
mod flux_shape;
mod inspect;
pub mod inventory;
pub mod layout;
mod random;
mod rounded;
mod safetensors;
mod source;

pub use bundle::{Bundle, EmbeddedFiles};
pub use component::Component;
pub use demo::{DEMO, demo};
pub use depth::{Beyond, Depth};
pub use flux_shape::FluxShape;
pub use inspect::{ComponentReport, Inspection, Kind, TensorProblem, inspect};
pub use layout::LayoutSource;
pub use random::RandomWeights;
pub use rounded::RoundedToBf16;
pub use safetensors::SafetensorsFile;
pub use source::{Scope, StoredTensor, TensorSource};
