//! What is asked of a pipeline.

use super::encodings::Encodings;
use crate::observer::Observer;
use afterimage_core::{GenerationRequest, Picture};

/// What is asked of a pipeline.
pub(crate) struct Order<'a> {
    /// Whose request it is, an opaque name.
    pub tenant: &'a str,
    pub request: &'a GenerationRequest,
    /// The decoded input pictures.
    pub sources: &'a [Picture],
    pub observer: &'a dyn Observer,
    /// What earlier requests encoded.
    pub encodings: &'a Encodings,
}
