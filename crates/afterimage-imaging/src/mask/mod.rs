//! Masks: what they name, and pictures laid over each other by them.

mod blur;
mod region;

pub use blur::gaussian_blur;
pub use region::{MaskRegion, fill_resize, paste};

use afterimage_core::{Error, Field, Picture, Result};

/// The brightness of each pixel, rows top to bottom, as Pillow's `convert("L")` weighs the colours (ITU-R 601-2, 16 bits of
/// fraction).
pub fn luma(picture: &Picture) -> Vec<u8> {
    let (pixels, _) = picture.rgb().as_chunks::<3>();
    let weigh = |[red, green, blue]: [u32; 3]| (19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16;
    pixels.iter().map(|pixel| weigh(pixel.map(u32::from)) as u8).collect()
}

/// `above` where `mask` is 255, `below` where it is 0, both to the bit, and a mean of the two in proportion between, up to a
/// level: diffusers' `apply_overlay` with Pillow's roundings, which cuts `below` out by its opacity first.
///
/// # Errors
/// [`Error::Field`] `mask` when the three are not of one size.
pub fn blend(below: &Picture, above: &Picture, mask: &[u8]) -> Result<Picture> {
    if below.size() != above.size() || mask.len() != below.rgb().len() / 3 {
        return Err(Error::field(Field::Mask, "the mask and the two pictures must be of one size"));
    }
    let mut rgb = below.rgb().to_vec();
    for ((out, above), share) in rgb.chunks_exact_mut(3).zip(above.rgb().chunks_exact(3)).zip(mask) {
        for (out, above) in out.iter_mut().zip(above) {
            *out = laid_over(*out, 255 - share, *above);
        }
    }
    Picture::from_rgb(below.width(), below.height(), rgb).ok_or_else(|| Error::internal("a picture changed its size"))
}

/// `level` with `opacity` over `base`, by way of premultiplied colours as Pillow has it (`Paste.c`, `Convert.c`,
/// `AlphaComposite.c`).
fn laid_over(level: u8, opacity: u8, base: u8) -> u8 {
    /// Fraction bits of Pillow's weights.
    const BITS: u32 = 7;
    let (level, opacity, base) = (u32::from(level), u32::from(opacity), u32::from(base));
    if opacity == 0 {
        return base as u8;
    }
    let product = level * opacity + 128;
    let premultiplied = (product + (product >> 8)) >> 8;
    let level = (255 * premultiplied / opacity).min(255);
    let weight = opacity << BITS;
    let sum = level * weight + base * ((255 << BITS) - weight) + (128 << BITS);
    (((sum + (sum >> 8)) >> 8) >> BITS) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn brightness_is_pillows() {
        // Image.new("RGB", (1, 1), colour).convert("L"), Pillow 12.
        for (colour, expected) in
            [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([128, 128, 128], 128), ([255, 255, 255], 255)]
        {
            assert_eq!(luma(&Picture::from_rgb(1, 1, colour.to_vec()).unwrap()), [expected]);
        }
    }

    #[test]
    fn pictures_of_other_sizes_are_refused() {
        let picture = |side| Picture::from_rgb(side, 1, vec![0; 3 * side as usize]).unwrap();
        assert!(blend(&picture(2), &picture(1), &[0, 0]).is_err() && blend(&picture(2), &picture(2), &[0]).is_err());
    }

    proptest! {
        #[test]
        fn grey_is_as_bright_as_it_is(grey: u8) {
            prop_assert_eq!(luma(&Picture::from_rgb(1, 1, vec![grey; 3]).unwrap()), [grey]);
        }

        #[test]
        fn a_blend_lies_between_and_its_ends_are_exact(below: [u8; 3], above: [u8; 3], share: u8) {
            let picture = |pixel: [u8; 3]| Picture::from_rgb(1, 1, pixel.to_vec()).unwrap();
            let found = blend(&picture(below), &picture(above), &[share]).unwrap();
            for ((found, below), above) in found.rgb().iter().zip(below).zip(above) {
                prop_assert!((below.min(above).saturating_sub(1)..=below.max(above).saturating_add(1)).contains(found));
                prop_assert!(share != 0 || *found == below);
                prop_assert!(share != 255 || *found == above);
            }
        }
    }
}
