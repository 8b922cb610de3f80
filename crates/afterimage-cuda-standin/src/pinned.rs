//! Host memory that the pretended card reads without the processor.

use std::collections::BTreeMap;

#[derive(Debug)]
enum PinnedKind {
    /// Allocated by the driver, in words so that it is aligned.
    Allocated { _words: Vec<u128>, bytes: usize },
    /// The host's own, registered.
    Registered { bytes: usize },
}

/// All of it, by address.
#[derive(Debug, Default)]
pub(crate) struct Pinned(BTreeMap<usize, PinnedKind>);

impl PinnedKind {
    fn bytes(&self) -> usize {
        match self {
            Self::Allocated { bytes, .. } | Self::Registered { bytes } => *bytes,
        }
    }
}

impl Pinned {
    /// Room for some bytes; `None` when the host has none.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Option<*mut u128> {
        let mut words = Vec::new();
        let count = bytes.div_ceil(size_of::<u128>()).max(1);
        words.try_reserve_exact(count).ok()?;
        words.resize(count, u128::MAX);
        let start = words.as_mut_ptr();
        self.0.insert(start.expose_provenance(), PinnedKind::Allocated { _words: words, bytes });
        Some(start)
    }

    /// Whether it was allocated, and now is not.
    pub(crate) fn free(&mut self, start: usize) -> bool {
        let allocated = matches!(self.0.get(&start), Some(PinnedKind::Allocated { .. }));
        allocated && self.0.remove(&start).is_some()
    }

    /// Whether it was not registered before.
    pub(crate) fn register(&mut self, start: usize, bytes: usize) -> bool {
        let overlaps =
            self.0.range(..start + bytes.max(1)).next_back().is_some_and(|(at, kind)| at + kind.bytes() > start);
        if !overlaps {
            self.0.insert(start, PinnedKind::Registered { bytes });
        }
        !overlaps
    }

    /// Whether it was registered, and now is not.
    pub(crate) fn unregister(&mut self, start: usize) -> bool {
        let registered = matches!(self.0.get(&start), Some(PinnedKind::Registered { .. }));
        registered && self.0.remove(&start).is_some()
    }

    /// Whether all of this is pinned.
    pub(crate) fn contains(&self, start: usize, bytes: usize) -> bool {
        let before = self.0.range(..=start).next_back();
        before.is_some_and(|(at, kind)| start + bytes <= at + kind.bytes())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.values().map(|kind| kind.bytes() as u64).sum()
    }
}
