//! The driver's failures as the program's errors.

use crate::driver::DriverError;
use afterimage_core::Error;

/// How messages about want of memory begin.
pub(crate) const OUT_OF_MEMORY: &str = "out of memory";

/// Whether an error is want of the card's memory.
pub(crate) fn is_out_of_memory(error: &Error) -> bool {
    matches!(error, Error::Device { problem, .. } if problem.contains(OUT_OF_MEMORY))
}

/// A failure on a card that is in use.
pub(crate) struct CardFailure;

impl CardFailure {
    /// `error` while a kernel was launched.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub fn in_kernel(kernel: &str, error: DriverError) -> Error {
        to_error(&format!("kernel {kernel}"), &error)
    }

    /// `error` of something else.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub fn of(error: DriverError) -> Error {
        to_error("", &error)
    }
}

fn to_error(what: &str, error: &DriverError) -> Error {
    let separator = if what.is_empty() { "" } else { ": " };
    let memory = if error.is_out_of_memory() { format!("{OUT_OF_MEMORY}: ") } else { String::new() };
    let problem = format!("{memory}{what}{separator}{error}");
    let device = error.device();
    if error.is_sticky() {
        Error::DeviceLost { device, problem }
    } else if error.is_out_of_memory() {
        // Something smaller would do.
        Error::Device { device, problem }
    } else {
        Error::DeviceFailed { device, problem }
    }
}
