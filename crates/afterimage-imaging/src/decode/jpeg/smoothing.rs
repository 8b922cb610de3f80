//! What libjpeg-turbo puts in the place of coefficients that no scan of a progressive file told exactly.
//!
//! A progressive file is whole after any of its scans: some encoders leave the last ones out, and a slow network cuts
//! them off. The coefficients of the lowest frequencies are then estimated from the means of the 5x5 blocks around, as
//! in `decompress_smooth_data` of `jdcoefct.c` (compare T.81, K.8), to the bit.

use super::accuracy::{Accuracy, ESTIMATED};
use super::block::{Block, Quantizers, ZIGZAG};
use super::coefficients::Coefficients;
use super::frame::{FrameComponent, JpegFrame};

/// Estimates coefficients of one component.
pub(super) struct Smoother<'a> {
    accuracy: Accuracy,
    quantizers: &'a Quantizers,
    /// Rows of blocks in a unit of the frame, and rows of units.
    unit_height: usize,
    unit_rows: usize,
}

impl<'a> Smoother<'a> {
    /// One for each component; none if there is nothing to estimate or to divide by.
    pub(super) fn of_frame(frame: &JpegFrame, planes: &[(Accuracy, &'a Quantizers)]) -> Option<Vec<Self>> {
        let is_useful = planes.iter().any(|(accuracy, _)| !accuracy.is_exact());
        let can_divide = planes
            .iter()
            .all(|(_, quantizers)| ZIGZAG[..ESTIMATED].iter().all(|&place| quantizers[usize::from(place)] != 0));
        if !is_useful || !can_divide {
            return None;
        }
        let unit_rows = frame.unit_rows();
        let smoother = |(component, &(accuracy, quantizers)): (&FrameComponent, &(Accuracy, &'a Quantizers))| Self {
            accuracy,
            quantizers,
            unit_height: component.vertical as usize,
            unit_rows,
        };
        Some(frame.components.iter().zip(planes).map(smoother).collect())
    }

    /// A block of `plane` with estimates where they are better than nothing.
    pub(super) fn smoothed(&self, plane: &Coefficients, column: usize, row: usize) -> Block {
        let mut block = *plane.block_at(column, row);
        let means = self.means_around(plane, column, row);
        let is_alone = self.accuracy.has_means_alone();
        let tables: &[SmoothingWeights] = if is_alone { &FROM_DC_ALONE } else { &FROM_DC_BESIDE };
        for (index, weights) in tables.iter().enumerate() {
            let (place, missing) = (usize::from(ZIGZAG[index + 1]), self.accuracy.missing_bits(index + 1));
            if missing != 0 && block[place] == 0 {
                block[place] = self.estimate(&means, weights, place, missing);
            }
        }
        if is_alone {
            block[0] = self.estimate(&means, &MEAN, 0, -1);
        }
        block
    }

    /// A coefficient at `place`, which is smaller than the `missing` bits can say.
    fn estimate(&self, means: &[i64; 25], weights: &SmoothingWeights, place: usize, missing: i8) -> i16 {
        let sum: i64 = means.iter().zip(weights).map(|(&mean, &weight)| mean * i64::from(weight)).sum();
        let scaled = sum * i64::from(self.quantizers[0]);
        let quantizer = i64::from(self.quantizers[place]);
        let mut size = ((quantizer << 7) + scaled.abs()) / (quantizer << 8);
        if missing > 0 {
            size = size.min((1 << missing) - 1);
        }
        (size * scaled.signum()) as i16
    }

    fn means_around(&self, plane: &Coefficients, column: usize, row: usize) -> [i64; 25] {
        let rows = self.rows_around(plane.rows, row);
        std::array::from_fn(|index| {
            let column = (column + index % 5).saturating_sub(2).min(plane.columns - 1);
            i64::from(plane.block_at(column, rows[index / 5])[0])
        })
    }

    /// Two rows above, `row` itself and two below. Which rows there are is counted as libjpeg-turbo does: those that
    /// fill up the last unit count, except from within it.
    fn rows_around(&self, rows: usize, row: usize) -> [usize; 5] {
        let unit_row = row / self.unit_height;
        let unit_height =
            if unit_row + 1 < self.unit_rows { self.unit_height } else { (rows - 1) % self.unit_height + 1 };
        let counted = unit_height * self.unit_rows;
        let index = unit_row * unit_height + row % self.unit_height;
        let above = if index > 0 { row - 1 } else { row };
        let far_above = if index > 1 { row - 2 } else { above };
        let below = if index + 1 < counted { row + 1 } else { row };
        let far_below = if index + 2 < counted { row + 2 } else { below };
        [far_above, above, row, below, far_below]
    }
}

/// How much the mean of each of the 5x5 blocks counts, in 256ths.
type SmoothingWeights = [i16; 25];

/// Of the coefficients 1 to 9 in zigzag order, where no scan told any of them.
#[rustfmt::skip]
const FROM_DC_ALONE: [SmoothingWeights; 9] = [
    [
        -1, -1, 0, 1, 1,
        -3, 13, 0, -13, 3,
        -3, 38, 0, -38, 3,
        -3, 13, 0, -13, 3,
        -1, -1, 0, 1, 1,
    ],
    [
        -1, -3, -3, -3, -1,
        -1, 13, 38, 13, -1,
        0, 0, 0, 0, 0,
        1, -13, -38, -13, 1,
        1, 3, 3, 3, 1,
    ],
    [
        0, 0, 1, 0, 0,
        0, 2, 7, 2, 0,
        0, -5, -14, -5, 0,
        0, 2, 7, 2, 0,
        0, 0, 1, 0, 0,
    ],
    [
        -1, 0, 0, 0, 1,
        0, 9, 0, -9, 0,
        0, 0, 0, 0, 0,
        0, -9, 0, 9, 0,
        1, 0, 0, 0, -1,
    ],
    [
        0, 0, 0, 0, 0,
        0, 2, -5, 2, 0,
        1, 7, -14, 7, 1,
        0, 2, -5, 2, 0,
        0, 0, 0, 0, 0,
    ],
    [
        0, 0, 0, 0, 0,
        0, 1, 0, -1, 0,
        0, 2, 0, -2, 0,
        0, 1, 0, -1, 0,
        0, 0, 0, 0, 0,
    ],
    [
        0, 0, 0, 0, 0,
        0, 1, -3, 1, 0,
        0, 0, 0, 0, 0,
        0, -1, 3, -1, 0,
        0, 0, 0, 0, 0,
    ],
    [
        0, 0, 0, 0, 0,
        0, 1, 0, -1, 0,
        0, -3, 0, 3, 0,
        0, 1, 0, -1, 0,
        0, 0, 0, 0, 0,
    ],
    [
        0, 0, 0, 0, 0,
        0, 1, 2, 1, 0,
        0, 0, 0, 0, 0,
        0, -1, -2, -1, 0,
        0, 0, 0, 0, 0,
    ],
];

/// Of the coefficients 1 to 5 in zigzag order, where scans told some of them.
#[rustfmt::skip]
const FROM_DC_BESIDE: [SmoothingWeights; 5] = [
    [
        0, 0, 0, 0, 0,
        0, 0, 0, 0, 0,
        -7, 50, 0, -50, 7,
        0, 0, 0, 0, 0,
        0, 0, 0, 0, 0,
    ],
    [
        0, 0, -7, 0, 0,
        0, 0, 50, 0, 0,
        0, 0, 0, 0, 0,
        0, 0, -50, 0, 0,
        0, 0, 7, 0, 0,
    ],
    [
        0, 0, -1, 0, 0,
        0, 0, 13, 0, 0,
        0, 0, -24, 0, 0,
        0, 0, 13, 0, 0,
        0, 0, -1, 0, 0,
    ],
    [
        0, -1, 0, 1, 0,
        -1, 10, 0, -10, 1,
        0, 0, 0, 0, 0,
        1, -10, 0, 10, -1,
        0, 1, 0, -1, 0,
    ],
    [
        0, 0, 0, 0, 0,
        0, 0, 0, 0, 0,
        -1, 13, -24, 13, -1,
        0, 0, 0, 0, 0,
        0, 0, 0, 0, 0,
    ],
];

/// Of the mean itself, where no scan told any other coefficient.
#[rustfmt::skip]
const MEAN: SmoothingWeights = [
    -2, -6, -8, -6, -2,
    -6, 6, 42, 6, -6,
    -8, 42, 152, 42, -8,
    -6, 6, 42, 6, -6,
    -2, -6, -8, -6, -2,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_what_is_even() {
        assert_eq!(MEAN.iter().sum::<i16>(), 256);
        for weights in FROM_DC_ALONE.iter().chain(&FROM_DC_BESIDE) {
            assert_eq!(weights.iter().sum::<i16>(), 0);
        }
    }
}
