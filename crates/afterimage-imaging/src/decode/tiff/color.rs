//! Stored samples to grey, RGB or CMYK.

use super::super::defect::Defect;
use super::super::samples::{Samples, cmyk_to_rgb};
use super::layout::{Alpha, PageLayout, Photometric, tag};

/// What is needed to understand the samples.
pub(super) struct Colors {
    /// Of a palette.
    map: Vec<[u8; 3]>,
}

impl Colors {
    pub(super) fn new(layout: &PageLayout) -> Result<Self, Defect> {
        if layout.photometric != Photometric::Palette {
            return Ok(Self { map: Vec::new() });
        }
        if layout.bits > 8 {
            return Err(format!("a palette of {} bits; save it as RGB", layout.bits));
        }
        let count = 1 << layout.bits;
        let levels = layout.directory.integers(tag::COLOR_MAP, 3 * count).unwrap_or_default();
        if levels.len() < 3 * count {
            return Err("damaged (its palette is missing or too short)".to_owned());
        }
        // Programs of the early nineties wrote 8 bits where 16 belong; libtiff looks at the same sign.
        let shift = if levels.iter().all(|level| *level < 256) { 0 } else { 8 };
        let level = |at: usize| (levels[at] >> shift).min(255) as u8;
        let map = (0..count).map(|index| [level(index), level(count + index), level(2 * count + index)]).collect();
        Ok(Self { map })
    }

    /// The stored samples, side by side and 8 bits each, as colours.
    pub(super) fn finish(&self, mut samples: Vec<u8>, layout: &PageLayout) -> Samples {
        let alpha = layout.alpha;
        match layout.photometric {
            Photometric::WhiteIsZero | Photometric::BlackIsZero => {
                if layout.photometric == Photometric::WhiteIsZero {
                    samples.iter_mut().step_by(layout.kept_channels()).for_each(|grey| *grey = 255 - *grey);
                }
                match alpha {
                    Alpha::None => Samples::Grey(samples),
                    _ => Samples::GreyAlpha(separated::<2>(samples, alpha)),
                }
            }
            Photometric::Rgb | Photometric::YCbCr => with_alpha(samples, alpha),
            Photometric::Palette => self.look_up(&samples, alpha),
            Photometric::Cmyk => match alpha {
                Alpha::None => Samples::Cmyk(samples),
                _ => Samples::Rgba(separated::<4>(shrink_to_rgba(samples), alpha)),
            },
            Photometric::CieLab => with_alpha(lab_to_rgb(samples, layout.kept_channels()), alpha),
        }
    }

    fn look_up(&self, samples: &[u8], alpha: Alpha) -> Samples {
        let color = |index: u8| self.map.get(usize::from(index)).copied().unwrap_or_default();
        if alpha == Alpha::None {
            return Samples::Rgb(samples.iter().flat_map(|index| color(*index)).collect());
        }
        let (pixels, _) = samples.as_chunks::<2>();
        let rgba = pixels.iter().flat_map(|[index, alpha]| {
            let [red, green, blue] = color(*index);
            [red, green, blue, *alpha]
        });
        Samples::Rgba(rgba.collect())
    }
}

fn with_alpha(samples: Vec<u8>, alpha: Alpha) -> Samples {
    match alpha {
        Alpha::None => Samples::Rgb(samples),
        _ => Samples::Rgba(separated::<4>(samples, alpha)),
    }
}

/// Colours that were multiplied by opacity, divided by it as Pillow does it.
pub(super) fn separated<const N: usize>(mut samples: Vec<u8>, alpha: Alpha) -> Vec<u8> {
    if alpha == Alpha::Associated {
        for pixel in samples.as_chunks_mut::<N>().0 {
            let alpha = u32::from(pixel[N - 1]);
            if alpha != 0 {
                pixel[..N - 1].iter_mut().for_each(|value| *value = (255 * u32::from(*value) / alpha).min(255) as u8);
            }
        }
    }
    samples
}

/// Five samples a pixel to four.
fn shrink_to_rgba(mut samples: Vec<u8>) -> Vec<u8> {
    let pixels = samples.len() / 5;
    for index in 0..pixels {
        let [cyan, magenta, yellow, black, alpha] = std::array::from_fn(|sample| samples[index * 5 + sample]);
        let [red, green, blue] = cmyk_to_rgb([cyan, magenta, yellow, black]);
        samples[index * 4..][..4].copy_from_slice(&[red, green, blue, alpha]);
    }
    samples.truncate(pixels * 4);
    samples
}

/// CIE L*a*b* under D50, a and b signed, to sRGB.
fn lab_to_rgb(mut samples: Vec<u8>, channels: usize) -> Vec<u8> {
    for pixel in samples.chunks_exact_mut(channels) {
        if let [lightness, a, b, ..] = pixel {
            let [red, green, blue] = lab_pixel(*lightness, *a as i8, *b as i8);
            (*lightness, *a, *b) = (red, green, blue);
        }
    }
    samples
}

fn lab_pixel(lightness: u8, a: i8, b: i8) -> [u8; 3] {
    // White under D50.
    const WHITE: [f32; 3] = [0.9642, 1.0, 0.8249];
    // XYZ under D50 to linear sRGB, adapted by Bradford's method.
    const TO_RGB: [[f32; 3]; 3] =
        [[3.133_856, -1.616_867, -0.490_615], [-0.978_768, 1.916_142, 0.033_454], [0.071_945, -0.228_991, 1.405_243]];
    let y = (f32::from(lightness) * 100.0 / 255.0 + 16.0) / 116.0;
    let roots = [y + f32::from(a) / 500.0, y, y - f32::from(b) / 200.0];
    let light = |root: f32| if root > 6.0 / 29.0 { root.powi(3) } else { (root - 4.0 / 29.0) * 108.0 / 841.0 };
    let xyz: [f32; 3] = std::array::from_fn(|index| light(roots[index]) * WHITE[index]);
    TO_RGB.map(|row| {
        let linear: f32 = row.iter().zip(xyz).map(|(factor, value)| factor * value).sum();
        let linear = linear.clamp(0.0, 1.0);
        let level = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
        (level * 255.0 + 0.5) as u8
    })
}
