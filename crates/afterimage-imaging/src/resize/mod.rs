//! Pillow's `Image.resize` for 8-bit RGB, bit for bit.
//!
//! The models were trained on, and diffusers feeds, pictures that Pillow resized; one level of difference on a third of
//! the pixels already costs 50 to 60 dB in the result. So the arithmetic is Pillow's: filter weights in f64, rounded to
//! 22-bit fixed point, a horizontal pass whose result is clipped to 8 bits, then a vertical one. A pass whose side does
//! not change is left out.

mod filter;

use afterimage_core::{Error, Picture, Result, Size};
pub use filter::Filter;
use filter::{Contributions, WEIGHT_BITS};
use rayon::prelude::*;

/// Bytes of the picture between the passes; a larger one is made in strips of columns. Matters for inputs such as
/// 1x65535, which are wider than both ends in between.
const INTERMEDIATE_BYTES: usize = 64 << 20;

/// Resizes to exactly `size` pixels; the aspect ratio is not kept. A picture that has the size already is copied as is.
///
/// # Errors
/// [`Error::Field`] `size` when a side is 0.
pub fn resize(picture: &Picture, size: Size, filter: Filter) -> Result<Picture> {
    resize_in_strips(picture, size, filter, INTERMEDIATE_BYTES)
}

fn resize_in_strips(picture: &Picture, size: Size, filter: Filter, intermediate_bytes: usize) -> Result<Picture> {
    if size.width == 0 || size.height == 0 {
        return Err(Error::field("size", format!("{size} is empty; each side takes at least 1 pixel")));
    }
    let (source_width, source_height) = (picture.width() as usize, picture.height() as usize);
    let (width, height) = (size.width as usize, size.height as usize);
    let columns = (source_width != width).then(|| Contributions::new(source_width, width, filter));
    let rows = (source_height != height).then(|| Contributions::new(source_height, height, filter));
    let rgb = match (columns, rows) {
        (None, None) => picture.rgb().to_vec(),
        (Some(columns), None) => horizontal(picture.rgb(), source_width, &columns, 0..width),
        (None, Some(rows)) => vertical(picture.rgb(), width, &rows),
        (Some(columns), Some(rows)) => {
            let strip = (intermediate_bytes / (3 * source_height)).clamp(1, width);
            if strip == width {
                vertical(&horizontal(picture.rgb(), source_width, &columns, 0..width), width, &rows)
            } else {
                let mut rgb = vec![0; width * height * 3];
                for start in (0..width).step_by(strip) {
                    let range = start..width.min(start + strip);
                    let narrow = horizontal(picture.rgb(), source_width, &columns, range.clone());
                    let narrow = vertical(&narrow, range.len(), &rows);
                    for (row, part) in rgb.chunks_exact_mut(width * 3).zip(narrow.chunks_exact(range.len() * 3)) {
                        row[range.start * 3..range.end * 3].copy_from_slice(part);
                    }
                }
                rgb
            }
        }
    };
    Picture::from_rgb(size.width, size.height, rgb)
        .ok_or_else(|| Error::internal("resized pixels do not fit the picture's size"))
}

/// Resizes every row; `range` selects the output columns.
fn horizontal(rgb: &[u8], source_width: usize, columns: &Contributions, range: std::ops::Range<usize>) -> Vec<u8> {
    let source_stride = source_width * 3;
    let stride = range.len() * 3;
    let mut output = vec![0; rgb.len() / source_stride * stride];
    output.par_chunks_exact_mut(stride).zip(rgb.par_chunks_exact(source_stride)).for_each(|(output, row)| {
        let (pixels, _) = row.as_chunks::<3>();
        let (output, _) = output.as_chunks_mut::<3>();
        for (target, column) in output.iter_mut().zip(range.clone()) {
            let (first, weights) = columns.of(column);
            let mut sums = [ROUNDING; 3];
            for (pixel, &weight) in pixels[first..].iter().zip(weights) {
                sums[0] += i32::from(pixel[0]) * weight;
                sums[1] += i32::from(pixel[1]) * weight;
                sums[2] += i32::from(pixel[2]) * weight;
            }
            *target = sums.map(to_level);
        }
    });
    output
}

/// Resizes every column of a picture `width` pixels wide.
fn vertical(rgb: &[u8], width: usize, rows: &Contributions) -> Vec<u8> {
    let stride = width * 3;
    let mut output = vec![0; rows.len() * stride];
    output.par_chunks_exact_mut(stride).enumerate().for_each_init(Vec::new, |sums: &mut Vec<i32>, (row, output)| {
        let (first, weights) = rows.of(row);
        sums.clear();
        sums.resize(stride, ROUNDING);
        for (source, &weight) in rgb[first * stride..].chunks_exact(stride).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(source) {
                *sum += i32::from(value) * weight;
            }
        }
        for (target, &sum) in output.iter_mut().zip(sums.iter()) {
            *target = to_level(sum);
        }
    });
    output
}

const ROUNDING: i32 = 1 << (WEIGHT_BITS - 1);

fn to_level(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picture(width: u32, height: u32, seed: u32) -> Picture {
        let mut state = seed;
        let rgb = (0..width * height * 3).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Picture::from_rgb(width, height, rgb.collect()).expect("length fits")
    }

    #[test]
    fn same_size_is_untouched() {
        let picture = picture(7, 5, 1);
        assert_eq!(resize(&picture, Size::new(7, 5), Filter::Lanczos).expect("valid size"), picture);
    }

    #[test]
    fn an_empty_size_is_refused() {
        let picture = picture(2, 2, 1);
        assert!(matches!(resize(&picture, Size::new(0, 2), Filter::Bicubic), Err(Error::Field { field: "size", .. })));
    }

    proptest! {
        #[test]
        fn strips_change_nothing(
            width in 1_u32..40, height in 1_u32..40, to_width in 1_u32..40, to_height in 1_u32..40, bytes in 0_usize..4000,
        ) {
            let picture = picture(width, height, width * 41 + height);
            let size = Size::new(to_width, to_height);
            let whole = resize(&picture, size, Filter::Lanczos).expect("valid size");
            prop_assert_eq!(resize_in_strips(&picture, size, Filter::Lanczos, bytes).expect("valid size"), whole);
        }

        #[test]
        fn flat_colour_stays_flat(value: u8, width in 1_u32..50, height in 1_u32..50, side in 1_u32..90) {
            let flat = Picture::from_rgb(width, height, vec![value; (width * height * 3) as usize]).expect("length fits");
            for filter in [Filter::Bicubic, Filter::Lanczos] {
                let resized = resize(&flat, Size::new(side, side), filter).expect("valid size");
                prop_assert!(resized.rgb().iter().all(|&level| level == value));
            }
        }
    }
}
