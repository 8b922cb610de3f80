//! How many threads compute.

use afterimage_core::{Error, Result};
use std::num::NonZeroUsize;

/// Makes everything that this process computes run on `threads` threads; without a call every core has one. To be called
/// before anything is computed, and once.
///
/// # Errors
/// [`Error::Internal`] when the threads are running already, or the system does not grant so many.
pub fn use_threads(threads: NonZeroUsize) -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .thread_name(|number| format!("kernels-{number}"))
        .build_global()
        .map_err(|error| Error::internal(format!("{threads} threads: {error}")))
}
