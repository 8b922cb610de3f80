//! Decoded samples before they become RGB, and the ways they do.

use super::defect::Defect;
use super::pixels::{grey_to_rgb, shrink, widen};
use afterimage_core::MaskReading;
use image::ColorType;

/// Decoded pixels as they lie in the file, before they are turned upright.
pub(super) struct Decoded {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) samples: Samples,
}

/// Rows top to bottom, 8 bits a sample, channels of a pixel side by side.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Samples {
    Grey(Vec<u8>),
    /// With opacity.
    GreyAlpha(Vec<u8>),
    Rgb(Vec<u8>),
    /// With opacity, colours not multiplied by it.
    Rgba(Vec<u8>),
    /// 0 is no ink.
    Cmyk(Vec<u8>),
}

impl Samples {
    /// Samples of the `image` crate, 16 bits in native byte order. `None` for floating point.
    ///
    /// 16-bit samples are cut to their upper byte, as Pillow does for RGB; Pillow clips 16-bit grey instead, which turns
    /// nearly every such picture white, so grey is cut too.
    pub(super) fn from_image(color: ColorType, samples: Vec<u8>) -> Option<Self> {
        Some(match color {
            ColorType::L8 => Self::Grey(samples),
            ColorType::La8 => Self::GreyAlpha(samples),
            ColorType::Rgb8 => Self::Rgb(samples),
            ColorType::Rgba8 => Self::Rgba(samples),
            ColorType::L16 => Self::Grey(upper_bytes(samples)),
            ColorType::La16 => Self::GreyAlpha(upper_bytes(samples)),
            ColorType::Rgb16 => Self::Rgb(upper_bytes(samples)),
            ColorType::Rgba16 => Self::Rgba(upper_bytes(samples)),
            _ => return None,
        })
    }

    /// RGB on white.
    pub(super) fn into_rgb(self) -> Vec<u8> {
        match self {
            Self::Grey(samples) => grey_to_rgb(&samples),
            Self::GreyAlpha(samples) => widen(&samples, |[grey, alpha]| [over_white(grey, alpha); 3]),
            Self::Rgb(samples) => samples,
            Self::Rgba(samples) => {
                shrink(samples, |[red, green, blue, alpha]| [red, green, blue].map(|value| over_white(value, alpha)))
            }
            Self::Cmyk(samples) => shrink(samples, cmyk_to_rgb),
        }
    }

    /// RGB in which white is what a mask names.
    ///
    /// # Errors
    /// When transparency is to be read and there is none.
    pub(super) fn into_mask(self, reading: MaskReading) -> Result<Vec<u8>, Defect> {
        Ok(match (reading, self) {
            (MaskReading::Brightness, Self::GreyAlpha(samples)) => {
                widen(&samples, |[grey, alpha]| [over_black(grey, alpha); 3])
            }
            (MaskReading::Brightness, Self::Rgba(samples)) => {
                shrink(samples, |[red, green, blue, alpha]| [red, green, blue].map(|value| over_black(value, alpha)))
            }
            (MaskReading::Brightness, samples) => samples.into_rgb(),
            (MaskReading::Transparency, Self::GreyAlpha(samples)) => widen(&samples, |[_, alpha]| [255 - alpha; 3]),
            (MaskReading::Transparency, Self::Rgba(samples)) => shrink(samples, |[_, _, _, alpha]| [255 - alpha; 3]),
            (MaskReading::Transparency, _) => {
                return Err("no transparency; what is fully transparent is painted anew, so a mask needs it".to_owned());
            }
        })
    }
}

fn upper_bytes(mut samples: Vec<u8>) -> Vec<u8> {
    let upper = usize::from(cfg!(target_endian = "little"));
    for index in 0..samples.len() / 2 {
        samples[index] = samples[2 * index + upper];
    }
    samples.truncate(samples.len() / 2);
    samples
}

/// `value` with opacity `alpha` over white, rounded to nearest.
fn over_white(value: u8, alpha: u8) -> u8 {
    let sum = u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
    ((sum + 127) / 255) as u8
}

/// `value` with opacity `alpha` over black, rounded to nearest.
fn over_black(value: u8, alpha: u8) -> u8 {
    ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8
}

/// Without a profile, as Pillow does: each ink takes from the light that black leaves.
pub(super) fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let light = 255 - u32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        let product = u32::from(ink) * light + 128;
        light.saturating_sub(((product >> 8) + product) >> 8) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_flattened_onto_white() {
        let rgba = Samples::Rgba(vec![10, 20, 30, 0, 10, 20, 30, 255]);
        assert_eq!(rgba.into_rgb(), [255, 255, 255, 10, 20, 30]);
        assert_eq!(Samples::GreyAlpha(vec![0, 128]).into_rgb(), [127, 127, 127]);
    }

    #[test]
    fn masks_are_read_from_brightness_or_transparency() {
        let rgba = || Samples::Rgba(vec![255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 0, 0, 128]);
        let bright = rgba().into_mask(MaskReading::Brightness).unwrap();
        assert_eq!(bright, [255, 255, 255, 0, 0, 0, 0, 0, 0, 128, 0, 0], "what is transparent is black");
        let transparent = rgba().into_mask(MaskReading::Transparency).unwrap();
        assert_eq!(transparent, [0, 0, 0, 255, 255, 255, 0, 0, 0, 127, 127, 127]);
        let grey = || Samples::Grey(vec![7]);
        assert_eq!(grey().into_mask(MaskReading::Brightness).unwrap(), [7, 7, 7]);
        assert!(grey().into_mask(MaskReading::Transparency).unwrap_err().contains("no transparency"));
        let pairs = || Samples::GreyAlpha(vec![200, 255, 200, 0]);
        assert_eq!(pairs().into_mask(MaskReading::Brightness).unwrap(), [200, 200, 200, 0, 0, 0]);
        assert_eq!(pairs().into_mask(MaskReading::Transparency).unwrap(), [0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn sixteen_bits_lose_the_lower_half() {
        let samples: Vec<u8> = [0x12ff_u16, 0x0080, 0xffff].iter().flat_map(|value| value.to_ne_bytes()).collect();
        assert_eq!(Samples::from_image(ColorType::Rgb16, samples), Some(Samples::Rgb(vec![0x12, 0, 0xff])));
    }
}
