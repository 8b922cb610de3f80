//! What comes out of the engine.

use afterimage_core::{GenerationFacts, Picture};

/// What a request produced.
#[derive(Debug)]
pub struct Generation {
    /// `num_images` pictures.
    pub pictures: Vec<Picture>,
    /// About them, one of [`GenerationFacts::pictures`] for each; without the time of files, which the engine has none of.
    pub facts: GenerationFacts,
    /// A digest of each input picture, in their order, see [`crate::picture_digest`].
    pub inputs: Vec<String>,
}
