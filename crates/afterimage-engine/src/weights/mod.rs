//! Model files: folders, safetensors, name layouts.

mod source;

pub use source::{Scope, StoredTensor, TensorSource};
