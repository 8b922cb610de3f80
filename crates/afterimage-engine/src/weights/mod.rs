//! Model files: folders, safetensors, GGUF, name layouts.
//!
//! The way from a folder to a model: [`Bundle`] (a folder on disk or embedded) → [`TensorFile`] (one file of any format)
//! → [`Component`] (the tensors of `transformer/`, `vae/`, …, by the names in the files) → [`layout`] (canonical names) →
//! [`Scope`] (what a model's constructor takes). Nothing is copied on the way: tensors are ranges of mapped files.

pub(crate) mod blocks;
mod component;
mod demo;
mod file_kind;
mod flux_shape;
mod fp8_scales;
mod gguf;
pub mod layout;
pub mod lora;
mod random;
mod recorder;
mod rounded;
mod safetensors;
mod source;
mod streamed;
mod tensor_file;

pub use crate::bundle::{Bundle, EmbeddedFiles};
pub use crate::config::{Beyond, Depth};
pub use component::Component;
pub use demo::{DEMO, demo};
pub use flux_shape::FluxShape;
pub use gguf::GgufFile;
pub use layout::LayoutSource;
pub use random::RandomWeights;
pub use recorder::{Wanted, footprint, record};
pub use rounded::{Rounded, Rounding};
pub use safetensors::SafetensorsFile;
pub use source::{Footprint, Scope, TensorSource};
pub(crate) use streamed::Streamed;
pub use tensor_file::{TensorFile, TensorInfo};
