//! What a weights file of any format offers.

use afterimage_tensors::{Element, SharedBytes, StoredTensor};
use std::fmt;
use std::path::Path;

/// Number types that models can use, for messages.
pub(crate) const USABLE_TYPES: &str = "f32, bf16, f16, fp8, GGUF's Q2_K to Q8_0 or IQ4_NL";

/// What a file says about one of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Sizes, slowest dimension first.
    pub shape: Vec<usize>,
    /// The format's own name of the number type, in lower case.
    pub type_name: String,
    /// The type, when it is one that models can use.
    pub element: Option<Element>,
}

impl fmt::Display for TensorInfo {
    /// `[3072, 64] in bf16`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsupported = if self.element.is_some() { "" } else { "the unsupported type " };
        write!(formatter, "{:?} in {unsupported}{}", self.shape, self.type_name)
    }
}

/// An open weights file whose claims about itself were checked. A format is one implementor; nothing of it is seen
/// behind this trait.
pub trait TensorFile: fmt::Debug + Send + Sync {
    /// The file, for messages.
    fn path(&self) -> &Path;

    /// Length of the file in bytes.
    fn file_bytes(&self) -> usize;

    /// Names of all tensors, sorted, each once; without those that only say something of another, such as its scale.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;

    /// Type and shape of a tensor.
    fn info(&self, name: &str) -> Option<&TensorInfo>;

    /// The tensor `name` without copying, with its scale when the file keeps one; `None` when it is missing or its type
    /// is not one that models can use.
    fn tensor(&self, name: &str) -> Option<StoredTensor>;

    /// The stored bytes of a tensor, also of a type that models in general cannot use.
    fn bytes(&self, name: &str) -> Option<SharedBytes>;
}
