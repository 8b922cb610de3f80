//! A tensor as a file holds it.

use crate::{Element, SharedBytes};

/// A tensor as it is stored: shape, number type, little-endian row-major bytes of exactly that length.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    /// Sizes, slowest dimension first.
    pub shape: Vec<usize>,
    /// Type of one number.
    pub element: Element,
    /// The numbers.
    pub bytes: SharedBytes,
}
