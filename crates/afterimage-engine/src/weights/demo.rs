//! The demo model that is embedded in the program, in builds with the feature `demo`.

use super::Bundle;
use afterimage_core::Result;

/// What messages call it.
#[cfg(feature = "demo")]
pub const DEMO: &str = afterimage_demo::NAME;

/// What messages call it.
#[cfg(not(feature = "demo"))]
pub const DEMO: &str = "embedded demo model";

/// Its files: the base in the root, Redux in `redux/`.
///
/// # Errors
/// In builds without the feature.
#[cfg(feature = "demo")]
pub fn demo() -> Result<Bundle> {
    Ok(Bundle::embedded(DEMO, afterimage_demo::FILES))
}

/// Its files: the base in the root, Redux in `redux/`.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`]: this build is without the feature.
#[cfg(not(feature = "demo"))]
pub fn demo() -> Result<Bundle> {
    Err(afterimage_core::Error::model_file(
        "--base",
        "missing; this program was built without the embedded demo model: name a model folder",
    ))
}
