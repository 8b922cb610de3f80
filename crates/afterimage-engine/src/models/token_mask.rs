//! Masks over a grid of image tokens.

use super::area::area_average;
use afterimage_core::Picture;
use afterimage_imaging::luma;

/// How much of each cell of a grid of `side`² lies under the white of `mask`, 0..=1: the mean brightness of the cell's
/// area, where a pixel that two cells share counts for each by its share. The mask is laid over the whole grid, whatever
/// its shape.
pub fn coverage(mask: &Picture, side: usize) -> Vec<f32> {
    let (width, height) = (mask.width() as usize, mask.height() as usize);
    let (columns, rows) = (shares(width, side), shares(height, side));
    let brightness = luma(mask);
    let mut cells = vec![0.0; side * side];
    for (cell, value) in cells.iter_mut().enumerate() {
        let mut sum = 0.0_f64;
        for (y, row_share) in &rows[cell / side] {
            let row = &brightness[y * width..][..width];
            let in_row: f64 = columns[cell % side].iter().map(|(x, share)| share * f64::from(row[*x])).sum();
            sum += row_share * in_row;
        }
        *value = (sum / 255.0).clamp(0.0, 1.0) as f32;
    }
    // Rounding is no edge: what is whole is exactly whole, and what is empty counts nothing.
    for value in &mut cells {
        *value = if *value > 1.0 - 1e-6 {
            1.0
        } else if *value < 1e-6 {
            0.0
        } else {
            *value
        };
    }
    cells
}

/// For each of `cells` along an axis of `length` pixels the pixels that it covers, with the share of the cell that each is.
fn shares(length: usize, cells: usize) -> Vec<Vec<(usize, f64)>> {
    let pixels_per_cell = length as f64 / cells as f64;
    let cell_of = |cell: usize| {
        let (start, end) = (cell as f64 * pixels_per_cell, (cell + 1) as f64 * pixels_per_cell);
        let overlap = move |pixel: usize| ((pixel + 1) as f64).min(end) - (pixel as f64).max(start);
        let last = (end.ceil() as usize).min(length);
        (start as usize..last)
            .filter(move |pixel| overlap(*pixel) > 0.0)
            .map(move |pixel| (pixel, overlap(pixel) / pixels_per_cell))
            .collect()
    };
    (0..cells).map(cell_of).collect()
}

/// Averages a masked grid of tokens `[from², width]` down to `to`²: tokens in proportion to how much they count, so that
/// nothing that is masked away is mixed in; how much they count plainly. Gives tokens and what they count.
///
/// # Panics
/// When `weights` is not one for each of `from`² cells.
pub fn downsample_masked(tokens: &[f32], weights: &[f32], from: usize, to: usize) -> (Vec<f32>, Vec<f32>) {
    assert_eq!(weights.len(), from * from, "a weight for each token");
    if from == to {
        return (tokens.to_vec(), weights.to_vec());
    }
    let width = tokens.len() / weights.len();
    let weighted: Vec<f32> = tokens
        .chunks_exact(width)
        .zip(weights)
        .flat_map(|(token, weight)| token.iter().map(move |value| value * weight))
        .collect();
    let mut averages = area_average(&weighted, [from; 2], [to; 2]);
    let counts = area_average(weights, [from; 2], [to; 2]);
    for (token, count) in averages.chunks_exact_mut(width).zip(&counts) {
        if *count > 0.0 {
            for value in token {
                *value /= count;
            }
        }
    }
    (averages, counts)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the compared numbers are exact")]
mod tests {
    use super::super::downsample;
    use super::*;
    use proptest::prelude::*;

    fn mask(width: u32, height: u32, grey: impl Fn(u32, u32) -> u8) -> Picture {
        let pixel = |index: u32| [grey(index % width, index / width); 3];
        Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect()).unwrap()
    }

    #[test]
    fn cells_count_by_the_area_that_is_white() {
        let left_half = mask(8, 2, |x, _| if x < 4 { 255 } else { 0 });
        assert_eq!(coverage(&left_half, 2), [1.0, 0.0, 1.0, 0.0]);
        // Three columns of cells over four of pixels: the middle one is half white.
        let left = mask(4, 1, |x, _| if x < 2 { 255 } else { 0 });
        assert_eq!(coverage(&left, 3), [[1.0, 0.5, 0.0]; 3].concat());
        // One pixel is all cells'.
        assert_eq!(coverage(&mask(1, 1, |_, _| 255), 27), [1.0; 729]);
        assert_eq!(coverage(&mask(1, 1, |_, _| 51), 2), [0.2; 4]);
    }

    #[test]
    fn what_is_masked_away_is_not_mixed_in() {
        let (tokens, weights) = ([1.0, 100.0, 3.0, 100.0], [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(downsample_masked(&tokens, &weights, 2, 1), (vec![2.0], vec![0.5]));
        assert_eq!(downsample_masked(&tokens, &[0.0; 4], 2, 1).1, [0.0]);
    }

    proptest! {
        #[test]
        fn a_flat_mask_is_flat_on_any_grid(width in 1_u32..90, height in 1_u32..90, grey: u8, side in 1_usize..30) {
            let found = coverage(&mask(width, height, |_, _| grey), side);
            let expected = f32::from(grey) / 255.0;
            prop_assert!(found.iter().all(|value| (value - expected).abs() < 1e-5));
            prop_assert!(grey < 255 || found.iter().all(|value| *value == 1.0));
        }

        #[test]
        fn all_the_white_is_counted_once(width in 1_u32..60, height in 1_u32..60, seed: u32, side in 1_usize..30) {
            let noise = |x: u32, y: u32| (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[0];
            let mask = mask(width, height, noise);
            let mean = luma(&mask).iter().map(|grey| f64::from(*grey)).sum::<f64>() / 255.0 / f64::from(width * height);
            let cells = coverage(&mask, side);
            let found = cells.iter().map(|cell| f64::from(*cell)).sum::<f64>() / cells.len() as f64;
            prop_assert!((found - mean).abs() < 1e-5, "{} {}", found, mean);
        }

        #[test]
        fn a_white_mask_changes_no_average(side in 1_usize..12, factor in 1.0_f64..9.0) {
            let tokens: Vec<f32> = (0..side * side * 2).map(|value| (value as f32).sin()).collect();
            let expected = downsample(&tokens, side, factor);
            let to = (expected.len() / 2).isqrt();
            let (found, counts) = downsample_masked(&tokens, &vec![1.0; side * side], side, to);
            prop_assert_eq!(found, expected);
            prop_assert!(counts.iter().all(|count| *count == 1.0));
        }
    }
}
