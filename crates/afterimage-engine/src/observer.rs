//! Who watches a generation.

use crate::memory::MemoryPlan;
use afterimage_core::{Picture, Stage};

/// Told about a generation's progress; asked between steps whether to stop.
pub trait Observer: Sync {
    /// What the request will take of memory, before it begins.
    fn memory(&self, plan: &MemoryPlan) {
        let _ = plan;
    }

    /// A stage begins.
    fn stage(&self, stage: Stage) {
        let _ = stage;
    }

    /// `done` of `total` transformer steps are finished; first called with 0 when the first step starts. Two passes count
    /// as one.
    fn step(&self, done: u32, total: u32) {
        let _ = (done, total);
    }

    /// Whether to make a preview after step `done` of `total`; asked after every step but the last. A preview costs the
    /// decoding of about 256×256 pixels and does not change the result.
    fn wants_preview(&self, done: u32, total: u32) -> bool {
        let _ = (done, total);
        false
    }

    /// What the first picture of the request will look like, as far as the model knows by now; its longer side has at
    /// most about 256 pixels.
    fn preview(&self, picture: Picture) {
        let _ = picture;
    }

    /// Whether the generation should end with [`afterimage_core::Error::Cancelled`].
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// An [`Observer`] that does not care.
pub struct Silent;

impl Observer for Silent {}
