//! From a generation to files that say how they were made, the same for every front end.

use crate::engine::Generation;
use afterimage_core::{Error, GenerationRequest, Result};
use afterimage_imaging::{OutputFormat, OutputMetadata, encode};
use serde::Serialize;

/// What a file's metadata records.
#[derive(Serialize)]
struct Parameters<'a> {
    #[serde(flatten)]
    request: &'a GenerationRequest,
    model: &'a str,
    device: &'a str,
    dtype: &'a str,
}

/// The file of each picture of `generation`, which was made from `request`. Its metadata holds everything that decides
/// what the picture looks like, apart from the input: enough to make it again.
///
/// # Errors
/// Those of [`afterimage_imaging::encode`].
pub fn encode_pictures(
    request: &GenerationRequest,
    generation: &Generation,
    format: OutputFormat,
) -> Result<Vec<Vec<u8>>> {
    // What was drawn or left to the model is recorded as what it became.
    let request = GenerationRequest {
        seed: Some(generation.seed),
        size: Some(generation.size),
        enlarge: generation.enlarge,
        ..request.clone()
    };
    let parameters = Parameters {
        request: &request,
        model: &generation.model,
        device: &generation.device,
        dtype: &generation.dtype,
    };
    let metadata = OutputMetadata::new(serde_json::to_string(&parameters).map_err(Error::internal)?);
    generation.pictures.iter().map(|picture| encode(picture, format, &metadata)).collect()
}
