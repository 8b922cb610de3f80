//! What a reader of one format finds.

use std::borrow::Cow;

/// Profiles and texts above this are passed over: the largest that printers come with have three megabytes.
pub(super) const MOST_BYTES: usize = 8 << 20;

/// Blocks of metadata as they lie in the file.
#[derive(Default)]
pub(super) struct Blocks<'a> {
    /// A TIFF file of its own, with or without `Exif` in front.
    pub(super) exif: Option<Cow<'a, [u8]>>,
    pub(super) xmp: Option<Cow<'a, [u8]>>,
    pub(super) profile: Option<Cow<'a, [u8]>>,
}
