//! Pillow's `GaussianBlur`, bit for bit: three box blurs along the rows, then three along the columns, with boxes whose
//! fractional edges make up the wanted deviation (Gwosdek et al., "Theoretical Foundations of Gaussian Convolution by
//! Extended Box Filtering", SSVM 2011; Pillow's `BoxBlur.c`).

use afterimage_core::Picture;
use rayon::prelude::*;

const PASSES: usize = 3;

/// Fraction bits of a weight.
const WEIGHT_BITS: u32 = 24;

/// Blurs by `radius` pixels of standard deviation, 0 and more; 0 and what is no number change nothing. Beyond the edges the
/// outermost pixels go on.
pub fn gaussian_blur(picture: &Picture, radius: f64) -> Picture {
    let boxed = box_radius(radius as f32);
    if boxed.is_nan() || boxed <= 0.0 {
        return picture.clone();
    }
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let rows = blurred_lines(picture.rgb(), width, boxed);
    let columns = blurred_lines(&transposed(&rows, width, height), height, boxed);
    // The lengths are what they were, so that this always is a picture.
    Picture::from_rgb(picture.width(), picture.height(), transposed(&columns, height, width))
        .unwrap_or_else(|| picture.clone())
}

/// Radius of the box whose [`PASSES`] applications come closest to a Gaussian of `radius`, in f32 as Pillow computes it.
fn box_radius(radius: f32) -> f32 {
    let variance = radius * radius / PASSES as f32;
    // Pillow's sqrt and floor are those of f64.
    let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
    let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
    let mut fraction = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance);
    fraction /= 6.0 * (variance - (whole + 1.0) * (whole + 1.0));
    whole + fraction
}

/// Every row of `rgb`, `length` pixels long, blurred [`PASSES`] times.
fn blurred_lines(rgb: &[u8], length: usize, radius: f32) -> Vec<u8> {
    let whole = radius as usize;
    let weight = ((1_u32 << WEIGHT_BITS) as f32 / (radius * 2.0 + 1.0)) as u32;
    let edge_weight = ((1_u64 << WEIGHT_BITS) - (2 * whole as u64 + 1) * u64::from(weight)) as u32 / 2;
    let mut out = rgb.to_vec();
    out.par_chunks_exact_mut(3 * length).for_each_init(Vec::new, |line: &mut Vec<u8>, row| {
        for _ in 0..PASSES {
            for channel in 0..3 {
                line.clear();
                line.extend(row.iter().skip(channel).step_by(3));
                blur_line(line, whole, [weight, edge_weight], |x, level| row[3 * x + channel] = level);
            }
        }
    });
    out
}

/// Gives every pixel's mean over a box of `radius` whole pixels to each side and a part of the next.
fn blur_line(line: &[u8], radius: usize, [weight, edge_weight]: [u32; 2], mut put: impl FnMut(usize, u8)) {
    let last = line.len() - 1;
    let at = |x: isize| u32::from(line[x.clamp(0, last as isize) as usize]);
    let radius = radius as isize;
    let mut sum: u64 = (-radius..=radius).map(|x| u64::from(at(x))).sum();
    for x in 0..line.len() as isize {
        let edges = u64::from(at(x - radius - 1) + at(x + radius + 1));
        let level = sum * u64::from(weight) + edges * u64::from(edge_weight);
        put(x as usize, ((level + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS) as u8);
        sum = sum + u64::from(at(x + radius + 1)) - u64::from(at(x - radius));
    }
}

fn transposed(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut out = vec![0; rgb.len()];
    out.par_chunks_exact_mut(3 * height).enumerate().for_each(|(x, column)| {
        for (y, pixel) in column.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&rgb[3 * (y * width + x)..][..3]);
        }
    });
    out
}
