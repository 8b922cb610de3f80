//! Pillow's `Image.resize` for 8-bit RGB, bit for bit.
//!
//! The models were trained on, and diffusers feeds, pictures that Pillow resized; one level of difference on a third of
//! the pixels already costs 50 to 60 dB in the result. So the arithmetic is Pillow's: filter weights in f64, rounded to
//! 22-bit fixed point, and two passes with a picture clipped to 8 bits in between. A pass whose side does not change is
//! left out.

mod filter;

use afterimage_core::{Error, Field, Picture, Result, Size};
pub use filter::Filter;
use filter::{Contributions, FINE_BITS, WEIGHT_BITS};
use rayon::prelude::*;
use std::ops::Range;

/// Resizes to exactly `size` pixels; the aspect ratio is not kept. A picture that has the size already is copied as is.
///
/// # Errors
/// [`Error::Field`] `size` when a side is 0.
pub fn resize(picture: &Picture, size: Size, filter: Filter) -> Result<Picture> {
    resize_part(picture, size, [0, 0], size, filter)
}

/// The part of `part` pixels from `[left, top]` on of what [`resize`] to `size` gives, without making the rest: a strip of
/// any length can be brought to a height and cut in the middle.
///
/// # Errors
/// [`Error::Field`] `size` when a side is 0 or the part reaches beyond `size`.
pub fn resize_part(
    picture: &Picture,
    size: Size,
    [left, top]: [u32; 2],
    part: Size,
    filter: Filter,
) -> Result<Picture> {
    if size.width == 0 || size.height == 0 || part.width == 0 || part.height == 0 {
        return Err(Error::field(Field::Size, format!("{size} is empty; each side takes at least 1 pixel")));
    }
    let outside = || Error::field(Field::Size, format!("{part} from {left}, {top} on reach beyond {size}"));
    let columns = range(left, part.width, size.width).ok_or_else(outside)?;
    let rows = range(top, part.height, size.height).ok_or_else(outside)?;
    let (source_width, width) = (picture.width() as usize, part.width as usize);
    let columns = contributions(source_width, size.width as usize, columns, filter);
    let rows = contributions(picture.height() as usize, size.height as usize, rows, filter);
    let rgb = match (columns, rows) {
        (None, None) => picture.rgb().to_vec(),
        (Some(columns), None) => horizontal(picture.rgb(), source_width, &columns),
        (None, Some(rows)) => vertical(picture.rgb(), width, &rows),
        (Some(columns), Some(rows)) if vertical_first(picture, size) => {
            horizontal(&vertical(picture.rgb(), source_width, &rows), source_width, &columns)
        }
        (Some(columns), Some(rows)) => vertical(&horizontal(picture.rgb(), source_width, &columns), width, &rows),
    };
    Picture::from_rgb(part.width, part.height, rgb)
        .ok_or_else(|| Error::internal("resized pixels do not fit the picture's size"))
}

/// `length` pixels from `first` on, when a side has them.
fn range(first: u32, length: u32, side: u32) -> Option<Range<usize>> {
    let end = first.checked_add(length).filter(|end| *end <= side)?;
    Some(first as usize..end as usize)
}

/// What the pixels `part` of an axis are made of; `None` when all stay as they are. A part of an axis that keeps its size
/// has each pixel made of one, with weight 1.
fn contributions(source: usize, target: usize, part: Range<usize>, filter: Filter) -> Option<Contributions> {
    (source != target || part.len() != target).then(|| Contributions::new(source, target, part, filter))
}

/// Which pass comes first shows in the last bit, since the picture between them is 8-bit. Pillow before 13 always began
/// with the rows; since 13.0 it begins with the columns when more than twice as many rows as columns are dropped
/// (observed: this rule told the order right in 4,700 random sizes, many of them next to the threshold).
fn vertical_first(picture: &Picture, size: Size) -> bool {
    let dropped_columns = i64::from(picture.width()) - i64::from(size.width);
    let dropped_rows = i64::from(picture.height()) - i64::from(size.height);
    dropped_rows > 0 && dropped_rows > 2 * dropped_columns
}

/// Resizes every row.
fn horizontal(rgb: &[u8], source_width: usize, columns: &Contributions) -> Vec<u8> {
    let source_stride = source_width * 3;
    let stride = columns.len() * 3;
    let mut output = vec![0; rgb.len() / source_stride * stride];
    output.par_chunks_exact_mut(stride).zip(rgb.par_chunks_exact(source_stride)).for_each_init(
        || [const { Vec::new() }; 3],
        |channels, (output, row)| {
            let (pixels, _) = row.as_chunks::<3>();
            for (index, channel) in channels.iter_mut().enumerate() {
                channel.clear();
                channel.extend(pixels.iter().map(|pixel| i16::from(pixel[index])));
            }
            let (output, _) = output.as_chunks_mut::<3>();
            for (column, target) in output.iter_mut().enumerate() {
                let weights = columns.of(column);
                for (level, channel) in target.iter_mut().zip(channels.iter()) {
                    *level = to_level(weighted_sum(&channel[weights.first..], weights.coarse, weights.fine));
                }
            }
        },
    );
    output
}

/// Sum of `levels` times weights. The weights come in two halves of 16 bits, whose products processors add up in pairs
/// (`pmaddwd` on x86); a whole weight would need a 32-bit multiplication. The sums wrap, and the total is right again.
fn weighted_sum(levels: &[i16], coarse: &[i16], fine: &[i16]) -> i32 {
    let mut coarse_sum = 0_i32;
    let mut fine_sum = 0_i32;
    for ((&level, &coarse), &fine) in levels.iter().zip(coarse).zip(fine) {
        coarse_sum = coarse_sum.wrapping_add(i32::from(level) * i32::from(coarse));
        fine_sum = fine_sum.wrapping_add(i32::from(level) * i32::from(fine));
    }
    coarse_sum.wrapping_shl(FINE_BITS).wrapping_add(fine_sum)
}

/// Resizes every column of a picture `width` pixels wide.
fn vertical(rgb: &[u8], width: usize, rows: &Contributions) -> Vec<u8> {
    let stride = width * 3;
    let mut output = vec![0; rows.len() * stride];
    output.par_chunks_exact_mut(stride).enumerate().for_each_init(Vec::new, |sums: &mut Vec<i32>, (row, output)| {
        let weights = rows.of(row);
        sums.clear();
        sums.resize(stride, 0);
        let lines = rgb[weights.first * stride..].chunks_exact(stride);
        for ((line, &coarse), &fine) in lines.zip(weights.coarse).zip(weights.fine) {
            let weight = (i32::from(coarse) << FINE_BITS) + i32::from(fine);
            for (sum, &level) in sums.iter_mut().zip(line) {
                *sum += i32::from(level) * weight;
            }
        }
        for (target, &sum) in output.iter_mut().zip(sums.iter()) {
            *target = to_level(sum);
        }
    });
    output
}

/// Rounds a sum of levels times weights to a level.
fn to_level(sum: i32) -> u8 {
    const HALF: i32 = 1 << (WEIGHT_BITS - 1);
    ((sum + HALF) >> WEIGHT_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILTERS: [Filter; 3] = [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

    #[test]
    fn same_size_is_untouched() {
        let picture = Picture::from_rgb(3, 1, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]).expect("length fits");
        assert_eq!(resize(&picture, Size::new(3, 1), Filter::Lanczos).expect("valid size"), picture);
    }

    #[test]
    fn an_empty_size_is_refused() {
        let picture = Picture::from_rgb(1, 1, vec![0; 3]).expect("length fits");
        assert!(matches!(
            resize(&picture, Size::new(0, 2), Filter::Bicubic),
            Err(Error::Field { field: Field::Size, .. })
        ));
    }

    #[test]
    fn a_part_beyond_the_size_is_refused() {
        let picture = Picture::from_rgb(2, 2, vec![7; 12]).expect("length fits");
        for (corner, part) in [([3, 0], Size::new(2, 1)), ([0, u32::MAX], Size::new(1, 1)), ([0, 0], Size::new(0, 1))] {
            let part = resize_part(&picture, Size::new(4, 4), corner, part, Filter::Bilinear);
            assert!(matches!(part, Err(Error::Field { field: Field::Size, .. })), "{part:?}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_that_part_of_the_whole(
            [width, height, to_width, to_height] in proptest::array::uniform4(1_u32..40),
            corners in any::<[prop::sample::Index; 4]>(),
        ) {
            let rgb = (0..width * height * 3).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let picture = Picture::from_rgb(width, height, rgb).expect("length fits");
            let size = Size::new(to_width, to_height);
            let [left, top] = [corners[0].index(to_width as usize) as u32, corners[1].index(to_height as usize) as u32];
            let part = Size::new(
                1 + corners[2].index((to_width - left) as usize) as u32,
                1 + corners[3].index((to_height - top) as usize) as u32,
            );
            for filter in FILTERS {
                let whole = resize(&picture, size, filter).expect("valid size");
                let found = resize_part(&picture, size, [left, top], part, filter).expect("valid part");
                let rows = whole.rgb().chunks_exact(3 * to_width as usize).skip(top as usize).take(part.height as usize);
                let cut = rows.flat_map(|row| &row[3 * left as usize..][..3 * part.width as usize]);
                prop_assert!(found.rgb().iter().eq(cut), "{filter:?}");
            }
        }

        #[test]
        fn flat_colour_stays_flat(value: u8, width in 1_u32..50, height in 1_u32..50, side in 1_u32..90) {
            let flat = Picture::from_rgb(width, height, vec![value; (width * height * 3) as usize]).expect("length fits");
            for filter in FILTERS {
                let resized = resize(&flat, Size::new(side, side), filter).expect("valid size");
                prop_assert!(resized.rgb().iter().all(|&level| level == value));
            }
        }
    }
}
