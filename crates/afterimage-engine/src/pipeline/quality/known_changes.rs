//! Changes of pictures whose looks everybody knows, to read a distance by.

use afterimage_core::{Picture, PictureLimits};
use afterimage_imaging::decode;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

/// Through a JPEG file of this quality.
pub(super) fn jpeg(picture: &Picture, quality: u8) -> Picture {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(picture.rgb(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .unwrap();
    decode(&file, "a JPEG", &PictureLimits::default()).unwrap()
}

/// Under a Gaussian of this deviation in pixels; the border is repeated.
pub(super) fn blurred(picture: &Picture, deviation: f32) -> Picture {
    let radius = (3.0 * deviation).ceil() as i64;
    let weight = |offset: i64| (-(offset as f32 / deviation).powi(2) / 2.0).exp();
    let weights: Vec<(i64, f32)> = (-radius..=radius).map(|offset| (offset, weight(offset))).collect();
    let total: f32 = weights.iter().map(|(_, weight)| weight).sum();
    let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
    let mut levels: Vec<f32> = picture.rgb().iter().map(|level| f32::from(*level)).collect();
    for (dx, dy) in [(1, 0), (0, 1)] {
        let at = |index: i64| {
            let (channel, x, y) = (index % 3, index / 3 % width, index / 3 / width);
            let part = |(offset, weight): &(i64, f32)| {
                let (x, y) = ((x + dx * offset).clamp(0, width - 1), (y + dy * offset).clamp(0, height - 1));
                weight * levels[((y * width + x) * 3 + channel) as usize]
            };
            weights.iter().map(part).sum::<f32>() / total
        };
        levels = (0..width * height * 3).map(at).collect();
    }
    let rgb = levels.into_iter().map(|level| level.round().clamp(0.0, 255.0) as u8).collect();
    Picture::from_rgb(picture.width(), picture.height(), rgb).unwrap()
}
