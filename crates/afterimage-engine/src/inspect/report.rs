//! The report: what is there, and whether it fits.

use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What `models inspect` found.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file or folder that was asked for.
    pub path: PathBuf,
    /// The components: one for a file or component folder, several for a model folder.
    pub components: Vec<ComponentReport>,
    /// Whether everything that is there can be used and nothing is missing.
    pub fits: bool,
    /// Why, in words.
    pub reason: String,
}

/// What one component's weights are.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentReport {
    /// The folder's name in its model, or the file's name.
    pub name: String,
    /// The file, or the folder for shards.
    pub path: PathBuf,
    /// What the tensors' names look like.
    pub kind: ComponentKind,
    /// Name of the layout: `BFL`, `diffusers`, `transformers`.
    pub layout: Option<String>,
    /// What stands in front of the layout's names.
    pub prefix: String,
    /// Weights files.
    pub files: usize,
    /// Bytes of the files.
    pub bytes: u64,
    /// Tensors in them.
    pub tensors: usize,
    /// Numbers in these tensors.
    pub parameters: u64,
    /// How many tensors there are of each number type.
    pub dtypes: BTreeMap<String, usize>,
    /// Sizes that the shapes tell, in order of importance.
    pub sizes: Vec<(String, String)>,
    /// Tensors that are missing, mis-shaped or of an unusable type, by the file's names.
    pub problems: Vec<TensorProblem>,
    /// Tensors that nobody needs, by the file's names.
    pub unneeded: Vec<String>,
    /// Whether the weights can be used.
    pub fits: bool,
    /// Why, in words.
    pub reason: String,
}

/// A tensor that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorProblem {
    /// Name in the file.
    pub tensor: String,
    /// What is needed.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// Kinds of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// FLUX.1's transformer.
    FluxTransformer,
    /// `AutoencoderKL`.
    Vae,
    /// T5's encoder.
    T5,
    /// CLIP's text encoder.
    Clip,
    /// SigLIP's vision tower.
    Siglip,
    /// The Redux adapter.
    Redux,
    /// A low-rank adapter.
    Lora,
    /// Something else.
    Unknown,
}
