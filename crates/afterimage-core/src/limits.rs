//! Ranges of a request's fields, stated once: [`crate::GenerationRequest::check`], the command line and the dialects read
//! them from here. A dialect may have a narrower one, by its service's document. All ends are inclusive.

use std::ops::RangeInclusive;

/// Output pixels per side, before rounding down.
pub const SIDE: RangeInclusive<u32> = 16..=4096;
/// Sampling steps.
pub const STEPS: RangeInclusive<u32> = 1..=50;
/// Distilled guidance.
pub const GUIDANCE: RangeInclusive<f64> = 1.0..=20.0;
/// Pictures per request.
pub const NUM_IMAGES: RangeInclusive<u32> = 1..=4;
/// Input pictures of a variation.
pub const SOURCES: RangeInclusive<usize> = 1..=8;
/// Bytes of prompt text, at most.
pub const PROMPT_BYTES: usize = 64 * 1024;
/// Share of the schedule that image-to-image runs.
pub const STRENGTH: RangeInclusive<f64> = 0.0..=1.0;
/// Attention weight of a variation's image tokens.
pub const REDUX_STRENGTH: RangeInclusive<f64> = 0.0..=1.0;
/// Parts of the run with an attention weight of their own.
pub const REDUX_SPANS: RangeInclusive<usize> = 0..=8;
/// Radius in pixels by which a mask is blurred.
pub const MASK_BLUR: RangeInclusive<f64> = 0.0..=256.0;
/// Pixels of surroundings that a cropped region is given on each side.
pub const CROP_PADDING: RangeInclusive<u32> = 0..=4096;
/// How far a variation seed leads away from the seed.
pub const VARIATION_STRENGTH: RangeInclusive<f64> = 0.0..=1.0;
/// Factor by which the side of the image tokens' grid shrinks.
pub const REDUX_DOWNSAMPLE: RangeInclusive<f64> = 1.0..=9.0;
/// Weight of one input picture.
pub const IMAGE_WEIGHT: RangeInclusive<f64> = -10.0..=10.0;
/// `LoRA`s of one request.
pub const LORAS: RangeInclusive<usize> = 0..=8;
/// Factor on what a `LoRA` adds to the weights.
pub const LORA_SCALE: RangeInclusive<f64> = -4.0..=4.0;
/// Pixels of the first pass of [`crate::Enlarge::FromPixels`]: those of the smallest and the largest square.
pub const ENLARGE_PIXELS: RangeInclusive<u64> = 256..=16_777_216;

/// What an input picture may cost before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLimits {
    /// Bytes of the encoded file.
    pub file_bytes: u64,
    /// Decoded pixels (width × height).
    pub pixels: u64,
    /// Pixels of the longer side.
    pub side: u32,
}

impl Default for PictureLimits {
    /// 50 MB, 100 megapixels, 65,535 pixels a side.
    fn default() -> Self {
        Self { file_bytes: 50_000_000, pixels: 100_000_000, side: 65_535 }
    }
}
