//! Ranges of the request's fields. All ends are inclusive.

use std::ops::RangeInclusive;

/// Ranges that the command line accepts; the dialects have narrower ones of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Output pixels per side, before rounding down.
    pub side: RangeInclusive<u32>,
    /// Sampling steps.
    pub steps: RangeInclusive<u32>,
    /// Distilled guidance.
    pub guidance: RangeInclusive<f64>,
    /// Pictures per request.
    pub num_images: RangeInclusive<u32>,
    /// Input pictures of a variation.
    pub sources: RangeInclusive<usize>,
    /// Bytes of prompt text.
    pub prompt_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            side: 16..=4096,
            steps: 1..=50,
            guidance: 1.0..=20.0,
            num_images: 1..=4,
            sources: 1..=8,
            prompt_bytes: 64 * 1024,
        }
    }
}

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
