//! What is shown in place of a picture that should not be seen.

use super::SafetyPreviews;
use crate::memory::MemoryPlan;
use crate::observer::Observer;
use afterimage_core::{Error, Picture, Result, Size, Stage};
use afterimage_imaging::{Filter, resize};

/// Pixels of the longer side that are left of a blurred picture: enough for its mood, too few for what it shows.
const LEFT: u32 = 12;

/// Pixels of a blurred preview's longer side: more would be spent on nothing.
const PREVIEW_SIDE: u32 = 96;

/// A black picture of the size of `picture`.
///
/// # Errors
/// None that the size of a picture can cause.
pub(super) fn black(picture: &Picture) -> Result<Picture> {
    let black = Picture::from_rgb(picture.width(), picture.height(), vec![0; picture.rgb().len()]);
    black.ok_or_else(|| Error::internal("a size of a picture that no picture has"))
}

/// `picture` at its size, with nothing left that could be recognised.
///
/// # Errors
/// Those of [`resize`].
pub(super) fn blurred(picture: &Picture) -> Result<Picture> {
    blurred_to(picture, picture.size())
}

fn blurred_to(picture: &Picture, size: Size) -> Result<Picture> {
    let small = resize(picture, within(picture.size(), LEFT), Filter::Bicubic)?;
    resize(&small, size, Filter::Bicubic)
}

/// `size` in the same shape with a longer side of at most `longest`, at least one pixel each.
fn within(size: Size, longest: u32) -> Size {
    let longer = size.width.max(size.height).max(1);
    if longer <= longest {
        return size;
    }
    let side = |side: u32| ((u64::from(side) * u64::from(longest)).div_ceil(u64::from(longer)) as u32).max(1);
    Size::new(side(size.width), side(size.height))
}

/// Shows a watcher of a request whose result will be checked what the check cannot take back.
pub(crate) struct Veiled<'a> {
    pub inner: &'a dyn Observer,
    pub previews: SafetyPreviews,
}

impl Observer for Veiled<'_> {
    fn memory(&self, plan: &MemoryPlan) {
        self.inner.memory(plan);
    }

    fn stage(&self, stage: Stage) {
        self.inner.stage(stage);
    }

    fn step(&self, done: u32, total: u32) {
        self.inner.step(done, total);
    }

    fn wants_preview(&self, done: u32, total: u32) -> bool {
        self.previews != SafetyPreviews::Off && self.inner.wants_preview(done, total)
    }

    fn preview(&self, picture: Picture) {
        match self.previews {
            SafetyPreviews::On => self.inner.preview(picture),
            SafetyPreviews::Off => {}
            // A preview that cannot be blurred is left out: the job does not need it.
            SafetyPreviews::Blur => {
                if let Ok(blurred) = blurred_to(&picture, within(picture.size(), PREVIEW_SIDE)) {
                    self.inner.preview(blurred);
                }
            }
        }
    }

    fn is_cancelled(&self) -> bool {
        self.inner.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Stripes one pixel wide: all of it is detail.
    fn stripes(width: u32, height: u32) -> Picture {
        let rgb = (0..width * height)
            .flat_map(|index| [if (index % width).is_multiple_of(2) { 0 } else { 255 }; 3])
            .collect();
        Picture::from_rgb(width, height, rgb).unwrap()
    }

    #[test]
    fn blurring_keeps_the_size_and_no_detail() {
        for (width, height) in [(256, 256), (640, 16), (1, 500), (3, 2)] {
            let blurred = blurred(&stripes(width, height)).unwrap();
            assert_eq!(blurred.size(), Size::new(width, height));
        }
        let grey = blurred(&stripes(256, 256)).unwrap();
        assert!(grey.rgb().iter().all(|byte| (118..=137).contains(byte)), "{:?}", grey.rgb().iter().max());
    }

    #[test]
    fn shapes_are_kept() {
        let of = |width, height| within(Size::new(width, height), 12);
        assert_eq!(of(1024, 512), Size::new(12, 6));
        assert_eq!(of(4096, 16), Size::new(12, 1));
        assert_eq!(of(5, 12), Size::new(5, 12));
    }

    #[derive(Default)]
    struct Watcher(Mutex<Vec<Picture>>);

    impl Observer for Watcher {
        fn wants_preview(&self, _done: u32, _total: u32) -> bool {
            true
        }

        fn preview(&self, picture: Picture) {
            self.0.lock().unwrap().push(picture);
        }
    }

    #[test]
    fn previews_show_no_more_than_they_may() {
        let picture = stripes(256, 128);
        let shown = |previews| {
            let watcher = Watcher::default();
            let veiled = Veiled { inner: &watcher, previews };
            if veiled.wants_preview(1, 4) {
                veiled.preview(picture.clone());
            }
            watcher.0.into_inner().unwrap()
        };
        assert!(shown(SafetyPreviews::Off).is_empty());
        assert_eq!(shown(SafetyPreviews::On)[0].rgb(), picture.rgb());
        let blurred = &shown(SafetyPreviews::Blur)[0];
        assert_eq!(blurred.size(), Size::new(96, 48));
        assert!(blurred.rgb().iter().all(|byte| (110..=145).contains(byte)));
    }
}
