//! Sample formats to 8-bit RGB, and turning a picture upright.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

/// Repeats each grey byte three times.
pub(super) fn grey_to_rgb(samples: &[u8]) -> Vec<u8> {
    widen(samples, |[grey]| [grey, grey, grey])
}

/// Converts pixels of fewer than three bytes.
pub(super) fn widen<const N: usize>(samples: &[u8], to_rgb: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
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
