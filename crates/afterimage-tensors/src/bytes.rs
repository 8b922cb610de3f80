//! Read-only bytes that several owners share: a mapped file, embedded data or a vector.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// What holds bytes.
pub trait ByteOwner: Send + Sync {
    /// All of them.
    fn bytes(&self) -> &[u8];

    /// The bytes in `range` will not be read soon: their memory may go, if they can be had again from where they came.
    fn forget(&self, _range: Range<usize>) {}
}

/// An owner whose bytes are nowhere else.
struct LastingOwner<T>(T);

impl<T: AsRef<[u8]> + Send + Sync> ByteOwner for LastingOwner<T> {
    fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }
}

/// A range of shared read-only bytes. Cloning and slicing do not copy.
#[derive(Clone)]
pub struct SharedBytes {
    owner: Arc<dyn ByteOwner>,
    range: Range<usize>,
    streamed: bool,
}

impl SharedBytes {
    /// Shares anything that holds bytes.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::owned_by(LastingOwner(owner))
    }

    /// Shares the bytes of an owner that can forget some.
    pub fn owned_by(owner: impl ByteOwner + 'static) -> Self {
        let range = 0..owner.bytes().len();
        Self { owner: Arc::new(owner), range, streamed: false }
    }

    /// The same bytes, which [`SharedBytes::used`] forgets. Slices of them are so, too.
    #[must_use]
    pub fn streamed(self) -> Self {
        Self { streamed: true, ..self }
    }

    /// Whether [`SharedBytes::used`] forgets them.
    pub fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// To be called after an operation that read these bytes: of streamed ones the memory goes.
    pub fn used(&self) {
        if self.streamed {
            self.forget();
        }
    }

    /// Gives the bytes' memory back if they can be read again from where they came; they stay valid.
    pub fn forget(&self) {
        self.owner.forget(self.range.clone());
    }

    /// The part `range` of these bytes, `None` when it reaches beyond the end.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let inside = range.start <= range.end && range.end <= self.len();
        inside.then(|| Self {
            owner: Arc::clone(&self.owner),
            range: self.range.start + range.start..self.range.start + range.end,
            streamed: self.streamed,
        })
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.owner.bytes()[self.range.clone()]
    }
}

impl std::fmt::Debug for SharedBytes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SharedBytes({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn slices_of_slices_count_from_their_own_start() {
        let bytes = SharedBytes::new(vec![0_u8, 1, 2, 3, 4, 5]);
        let middle = bytes.slice(1..5).unwrap();
        assert_eq!(&middle[..], [1, 2, 3, 4]);
        assert_eq!(&middle.slice(2..4).unwrap()[..], [3, 4]);
        assert!(middle.slice(2..5).is_none());
    }

    #[test]
    fn only_what_is_streamed_is_forgotten_after_use() {
        struct Noting(Mutex<Vec<Range<usize>>>);
        impl ByteOwner for Arc<Noting> {
            fn bytes(&self) -> &[u8] {
                &[0; 8]
            }

            fn forget(&self, range: Range<usize>) {
                self.0.lock().unwrap().push(range);
            }
        }
        let owner = Arc::new(Noting(Mutex::default()));
        let bytes = SharedBytes::owned_by(Arc::clone(&owner));
        bytes.used();
        let part = bytes.clone().streamed().slice(2..7).unwrap().slice(1..3).unwrap();
        part.used();
        bytes.forget();
        assert_eq!(*owner.0.lock().unwrap(), [3..5, 0..8]);
        SharedBytes::new(vec![1_u8]).streamed().used();
    }
}
