//! What comes out of the engine.

use afterimage_core::{Enlarge, Picture, Size, Timings};

/// What a request produced.
#[derive(Debug)]
pub struct Generation {
    /// `num_images` pictures.
    pub pictures: Vec<Picture>,
    /// The seed that was used, given or drawn.
    pub seed: u64,
    /// Size of each picture.
    pub size: Size,
    /// Transformer steps that ran, in both passes together when there were two.
    pub steps_run: u32,
    /// How the request's `enlarge` was understood, never [`Enlarge::Auto`].
    pub enlarge: Enlarge,
    /// Size of the first pass, when there were two.
    pub enlarged_from: Option<Size>,
    /// Time of each stage.
    pub timings: Timings,
    /// The input pictures' tokens were known from earlier requests; `false` without such tokens.
    pub image_cached: bool,
    /// The prompt was known from an earlier request.
    pub text_cached: bool,
    /// Name of the model, for people.
    pub model: String,
    /// Device that ran it.
    pub device: String,
    /// Compute type, `f32` or `bf16`.
    pub dtype: String,
}
