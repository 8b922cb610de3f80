//! Sample formats to 8-bit RGB, and turning a picture upright.

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, RgbImage};

/// Converts samples in native byte order to RGB. `None` for floating point, which no accepted file needs.
///
/// 16-bit samples are cut to their upper byte, as Pillow does for RGB; Pillow clips 16-bit grey instead, which turns
/// nearly every such picture white, so grey is cut too.
pub(super) fn to_rgb(color: ColorType, samples: Vec<u8>) -> Option<Vec<u8>> {
    let rgb = match color {
        ColorType::Rgb8 => samples,
        ColorType::L8 => grey_to_rgb(&samples),
        ColorType::La8 => widen(&samples, |[grey, alpha]| {
            let value = over_white(grey, alpha);
            [value, value, value]
        }),
        ColorType::L16 => widen(&samples, |pair: [u8; 2]| {
            let value = upper_byte(&pair);
            [value, value, value]
        }),
        ColorType::La16 => shrink(samples, |pixel: [u8; 4]| {
            let value = over_white(upper_byte(&pixel[..2]), upper_byte(&pixel[2..]));
            [value, value, value]
        }),
        ColorType::Rgba8 => shrink(samples, flatten_rgba),
        ColorType::Rgb16 => shrink(samples, |pixel: [u8; 6]| [0, 2, 4].map(|at| upper_byte(&pixel[at..at + 2]))),
        ColorType::Rgba16 => {
            shrink(samples, |pixel: [u8; 8]| flatten_rgba([0, 2, 4, 6].map(|at| upper_byte(&pixel[at..at + 2]))))
        }
        _ => return None,
    };
    Some(rgb)
}

/// Repeats each grey byte three times.
pub(super) fn grey_to_rgb(samples: &[u8]) -> Vec<u8> {
    widen(samples, |[grey]| [grey, grey, grey])
}

/// Converts pixels of fewer than three bytes.
fn widen<const N: usize>(samples: &[u8], to_rgb: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let (pixels, _) = samples.as_chunks::<N>();
    let mut rgb = Vec::with_capacity(pixels.len() * 3);
    for pixel in pixels {
        rgb.extend_from_slice(&to_rgb(*pixel));
    }
    rgb
}

/// Converts pixels of three or more bytes in place, so that a large picture is held once.
pub(super) fn shrink<const N: usize>(mut samples: Vec<u8>, to_rgb: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let pixels = samples.len() / N;
    for index in 0..pixels {
        let mut pixel = [0; N];
        pixel.copy_from_slice(&samples[index * N..][..N]);
        samples[index * 3..][..3].copy_from_slice(&to_rgb(pixel));
    }
    samples.truncate(pixels * 3);
    samples
}

fn flatten_rgba([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    [red, green, blue].map(|value| over_white(value, alpha))
}

/// `value` with opacity `alpha` over white, rounded to nearest.
fn over_white(value: u8, alpha: u8) -> u8 {
    let sum = u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
    ((sum + 127) / 255) as u8
}

fn upper_byte(sample: &[u8]) -> u8 {
    // Native byte order, as the `image` crate hands samples out.
    if cfg!(target_endian = "big") { sample[0] } else { sample[1] }
}

/// Applies an EXIF orientation and returns the resulting width, height and pixels.
pub(super) fn turn_upright(width: u32, height: u32, rgb: Vec<u8>, orientation: Orientation) -> (u32, u32, Vec<u8>) {
    if orientation == Orientation::NoTransforms {
        return (width, height, rgb);
    }
    match RgbImage::from_raw(width, height, rgb) {
        Some(image) => {
            let mut image = DynamicImage::ImageRgb8(image);
            image.apply_orientation(orientation);
            let image = image.into_rgb8();
            (image.width(), image.height(), image.into_raw())
        }
        None => (width, height, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_flattened_onto_white() {
        assert_eq!(
            to_rgb(ColorType::Rgba8, vec![10, 20, 30, 0, 10, 20, 30, 255]),
            Some(vec![255, 255, 255, 10, 20, 30])
        );
        assert_eq!(to_rgb(ColorType::La8, vec![0, 128]), Some(vec![127, 127, 127]));
    }

    #[test]
    fn sixteen_bits_lose_the_lower_half() {
        let samples: Vec<u8> = [0x12ff_u16, 0x0080, 0xffff].iter().flat_map(|value| value.to_ne_bytes()).collect();
        assert_eq!(to_rgb(ColorType::Rgb16, samples.clone()), Some(vec![0x12, 0, 0xff]));
        assert_eq!(to_rgb(ColorType::L16, samples), Some(vec![0x12, 0x12, 0x12, 0, 0, 0, 0xff, 0xff, 0xff]));
    }
}
