//! Reusable buffers, one stack of them per thread, so that packing never pays for fresh pages.

use std::cell::RefCell;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// A borrowed buffer; goes back to its thread's stack when dropped.
pub struct Scratch(Vec<f32>);

/// A buffer of `len` numbers with unspecified (but initialised) contents.
pub fn take(len: usize) -> Scratch {
    let mut buffer = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    Scratch(buffer)
}

impl std::ops::Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl std::ops::DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // Fails only while the thread ends; the buffer is then freed like any vector.
        let _ = FREE.try_with(|free| free.borrow_mut().push(buffer));
    }
}
