//! Values that are built when they are first asked for.

use super::load_time;
use afterimage_core::Result;
use once_cell::sync::OnceCell;

/// A value built by whoever asks first, while others wait; a failure is reported and tried again next time. The time
/// counts as loading for everybody who spends it.
pub(super) struct Lazy<T>(OnceCell<T>);

impl<T> Lazy<T> {
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// The value, if it was built already.
    pub fn peek(&self) -> Option<&T> {
        self.0.get()
    }

    /// The value.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn get(&self, build: impl FnOnce() -> Result<T>) -> Result<&T> {
        match self.0.get() {
            Some(value) => Ok(value),
            // Waiting for another request's building is waiting for a model, too.
            None => load_time::measure(|| self.0.get_or_try_init(build)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::Error;

    #[test]
    fn a_failure_is_tried_again_and_a_value_is_built_once() {
        let lazy = Lazy::new();
        assert!(lazy.get(|| Err::<u32, _>(Error::Cancelled)).is_err());
        assert_eq!((lazy.get(|| Ok(1)).unwrap(), lazy.get(|| Ok(2)).unwrap(), lazy.peek()), (&1, &1, Some(&1)));
    }
}
