//! Output sizes in pixels.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Size {
    /// A size as given, unchecked.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Both sides rounded down to multiples of `step` pixels (diffusers rounds to VAE factor × 2, 16 for FLUX).
    #[must_use]
    pub const fn rounded_down_to(self, step: u32) -> Self {
        Self { width: self.width - self.width % step, height: self.height - self.height % step }
    }

    /// The largest square of at most `pixels` pixels whose side is a multiple of `step`, at least one of them.
    pub const fn square(pixels: u64, step: u32) -> Self {
        let side = pixels.isqrt() as u32 / step * step;
        let side = if side < step { step } else { side };
        Self { width: side, height: side }
    }

    /// A size of the same shape with about `pixels` pixels: both sides rounded to multiples of `step`, at least one of
    /// them and at most what they are now.
    #[must_use]
    pub fn shrunk_to(self, pixels: u64, step: u32) -> Self {
        let scale = (pixels as f64 / self.pixels().max(1) as f64).sqrt().min(1.0);
        let side = |side: u32| ((f64::from(side) * scale / f64::from(step)).round() as u32 * step).max(step).min(side);
        Self { width: side(self.width), height: side(self.height) }
    }

    /// Width × height.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}", self.width, self.height)
    }
}

/// The text is not `WIDTHxHEIGHT` or `WIDTH*HEIGHT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected WIDTHxHEIGHT in pixels, such as 1024x768")]
pub struct ParseSizeError;

impl FromStr for Size {
    type Err = ParseSizeError;

    /// Parses `1024x768`, `1024X768` or `1024*768`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (width, height) = text.split_once(['x', 'X', '*']).ok_or(ParseSizeError)?;
        let side = |text: &str| {
            let digits = text.trim();
            let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if all_digits { digits.parse::<u32>().map_err(|_| ParseSizeError) } else { Err(ParseSizeError) }
        };
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_separators_are_read() {
        assert_eq!("640x480".parse(), Ok(Size::new(640, 480)));
        assert_eq!("96*96".parse(), Ok(Size::new(96, 96)));
        assert_eq!(Size::new(150, 116).rounded_down_to(16), Size::new(144, 112));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "x", "640", "640x", "x480", "-1x2", "+1x2", "1.5x2", "1x2x3", "99999999999x1", "1e3x1", "٣x٣"]
        {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn squares_stay_within_their_pixels() {
        assert_eq!(Size::square(65_536, 16), Size::new(256, 256));
        assert_eq!(Size::square(65_535, 16), Size::new(240, 240));
        assert_eq!(Size::square(17, 16), Size::new(16, 16), "no square is smaller than one step");
    }

    #[test]
    fn shrinking_keeps_the_shape() {
        let shrunk = |width, height, pixels| Size::new(width, height).shrunk_to(pixels, 16);
        assert_eq!(shrunk(512, 512, 65_536), Size::new(256, 256));
        assert_eq!(shrunk(640, 384, 65_536), Size::new(336, 192));
        assert_eq!(shrunk(3136, 1344, 1 << 20), Size::new(1568, 672));
        assert_eq!(shrunk(4096, 16, 65_536), Size::new(4096, 16));
        assert_eq!(shrunk(1024, 16, 4096), Size::new(512, 16), "a side does not vanish");
        assert_eq!(shrunk(128, 96, 65_536), Size::new(128, 96), "small enough already");
    }

    proptest! {
        #[test]
        fn shrunk_sides_are_usable(width in 1_u32..=256, height in 1_u32..=256, pixels in 256_u64..1 << 24) {
            let size = Size::new(16 * width, 16 * height);
            let shrunk = size.shrunk_to(pixels, 16);
            prop_assert_eq!(shrunk.rounded_down_to(16), shrunk);
            prop_assert!((16..=size.width).contains(&shrunk.width) && (16..=size.height).contains(&shrunk.height));
        }

        #[test]
        fn printed_sizes_are_read_back(width: u32, height: u32) {
            let size = Size::new(width, height);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = text.parse::<Size>();
        }
    }
}
