//! How many threads compute.

use afterimage_core::{Error, Result};
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// Cores that this process may use: those of the machine, or as many processors as the system grants it where these are
/// fewer. Two hardware threads of a core share its multipliers, which one of them keeps busy, and its caches, which are
/// sized for one; so a core counts once.
pub fn usable_cores() -> Option<NonZeroUsize> {
    let granted = available_parallelism().ok()?;
    Some(NonZeroUsize::new(num_cpus::get_physical()).map_or(granted, |cores| cores.min(granted)))
}

/// Makes everything that this process computes run on `threads` threads; without a call every hardware thread has one. To be called
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_counted_once_and_only_if_it_is_granted() {
        let cores = usable_cores().unwrap();
        assert!(cores <= available_parallelism().unwrap());
        assert!(cores.get() <= num_cpus::get());
    }
}
