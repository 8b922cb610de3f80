//! Read-only bytes that several owners share: a mapped file, embedded data or a vector.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// A range of shared read-only bytes. Cloning and slicing do not copy.
#[derive(Clone)]
pub struct SharedBytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl SharedBytes {
    /// Shares anything that holds bytes.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        let range = 0..owner.as_ref().len();
        Self { owner: Arc::new(owner), range }
    }

    /// The part `range` of these bytes, `None` when it reaches beyond the end.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let inside = range.start <= range.end && range.end <= self.len();
        inside.then(|| Self {
            owner: Arc::clone(&self.owner),
            range: self.range.start + range.start..self.range.start + range.end,
        })
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
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

    #[test]
    fn slices_of_slices_count_from_their_own_start() {
        let bytes = SharedBytes::new(vec![0_u8, 1, 2, 3, 4, 5]);
        let middle = bytes.slice(1..5).unwrap();
        assert_eq!(&middle[..], [1, 2, 3, 4]);
        assert_eq!(&middle.slice(2..4).unwrap()[..], [3, 4]);
        assert!(middle.slice(2..5).is_none());
    }
}
