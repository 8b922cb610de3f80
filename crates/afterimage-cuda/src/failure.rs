//! The driver's failures as the program's errors.

use crate::driver::DriverError;
use afterimage_core::Error;

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
    let problem = format!("{what}{separator}{error}");
    let device = "cuda".to_owned();
    if error.is_sticky() { Error::DeviceLost { device, problem } } else { Error::Device { device, problem } }
}
