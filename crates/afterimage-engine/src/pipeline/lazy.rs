//! Values that are built when they are first asked for, and may be given up.

use super::load_time;
use afterimage_core::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A value built by whoever asks first, while others wait; a failure is reported and tried again next time. The time
/// counts as loading for everybody who spends it.
pub(super) struct Lazy<T>(Mutex<Option<Arc<T>>>);

impl<T> Lazy<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The value, if it is there.
    pub fn peek(&self) -> Option<Arc<T>> {
        self.value().clone()
    }

    /// The value.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn get(&self, build: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        // What is there takes no time.
        if let Ok(value) = self.0.try_lock()
            && let Some(value) = value.as_ref()
        {
            return Ok(Arc::clone(value));
        }
        // Waiting for another request's building is waiting for a model, too.
        load_time::measure(|| {
            let mut value = self.value();
            if let Some(value) = value.as_ref() {
                return Ok(Arc::clone(value));
            }
            let built = Arc::new(build()?);
            *value = Some(Arc::clone(&built));
            Ok(built)
        })
    }

    /// Gives the value up; whoever still uses it keeps it until then.
    pub fn release(&self) {
        *self.value() = None;
    }

    fn value(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        // It is set in one piece, after building.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!((*lazy.get(|| Ok(1)).unwrap(), *lazy.get(|| Ok(2)).unwrap()), (1, 1));
        assert_eq!(lazy.peek().as_deref(), Some(&1));
    }

    #[test]
    fn what_was_given_up_is_built_again_and_stays_for_those_who_use_it() {
        let lazy = Lazy::new();
        let first = lazy.get(|| Ok(1)).unwrap();
        lazy.release();
        assert!(lazy.peek().is_none());
        assert_eq!((*first, *lazy.get(|| Ok(2)).unwrap()), (1, 2));
    }
}
