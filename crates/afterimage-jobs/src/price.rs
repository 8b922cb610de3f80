//! What pictures cost: DeepInfra's published formula for Redux, with a rate that can be set.

use afterimage_core::Size;
use serde::{Deserialize, Serialize};

/// Millionths of a dollar in a dollar.
const MICROS: f64 = 1e6;

/// The rate of the formula `rate × (width/1024) × (height/1024) × (steps/25)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Dollars for 1024×1024 pixels and 25 steps.
    pub dollars: f64,
}

impl Default for Rates {
    /// 0.012 dollars.
    fn default() -> Self {
        Self { dollars: 0.012 }
    }
}

impl Rates {
    /// Millionths of a dollar for `num_images` pictures of `size` pixels, as they are made, in `steps` steps.
    pub fn micros(self, size: Size, steps: u32, num_images: u32) -> i64 {
        let side = |pixels: u32| f64::from(pixels) / 1024.0;
        let one = self.dollars * side(size.width) * side(size.height) * (f64::from(steps) / 25.0);
        (one * f64::from(num_images) * MICROS).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_formula() {
        assert_eq!(Rates::default().micros(Size::new(1024, 1024), 25, 1), 12_000);
        assert_eq!(Rates::default().micros(Size::new(512, 2048), 50, 4), 96_000);
        assert_eq!(Rates::default().micros(Size::new(256, 256), 2, 1), 60);
    }
}
