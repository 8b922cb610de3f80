//! Enlargement of subsampled JPEG components to the bit as in libjpeg-turbo ("fancy" upsampling, `jdsample.c`).
//!
//! Samples lie centred between the pixels they stand for, so each pixel gets 3/4 of the nearer and 1/4 of the farther
//! sample along an axis. Halves are rounded down and up in turn, which keeps the mean.

/// A plane of samples, row by row.
pub(super) struct Plane<'a> {
    pub(super) samples: &'a [u8],
    pub(super) width: usize,
}

impl Plane<'_> {
    /// Row `index`, or the nearest there is.
    fn row(&self, index: usize) -> &[u8] {
        let rows = self.samples.len() / self.width;
        let start = index.min(rows.saturating_sub(1)) * self.width;
        self.samples.get(start..start + self.width).unwrap_or_default()
    }

    /// Writes row `y` of the plane enlarged by the factors (1 or 2 each) to `row`, which is at least as long.
    pub(super) fn enlarged_row(&self, y: usize, horizontal: u32, vertical: u32, row: &mut [u8]) {
        // libjpeg does not smooth what is too narrow for its loop over inner columns.
        let is_narrow = horizontal == 2 && self.width <= 2;
        if vertical == 1 {
            let near = self.row(y);
            if is_narrow {
                double(near, row);
            } else {
                smooth_horizontally(near, row);
            }
            return;
        }
        let near = self.row(y / 2);
        let is_upper = y.is_multiple_of(2);
        let far = self.row(if is_upper { (y / 2).saturating_sub(1) } else { y / 2 + 1 });
        if is_narrow {
            double(near, row);
        } else if horizontal == 2 {
            smooth_both(near, far, row);
        } else {
            let bias = if is_upper { 1 } else { 2 };
            for ((&near, &far), pixel) in near.iter().zip(far).zip(row) {
                *pixel = ((3 * u32::from(near) + u32::from(far) + bias) >> 2) as u8;
            }
        }
    }
}

fn double(near: &[u8], row: &mut [u8]) {
    for (&sample, pair) in near.iter().zip(row.as_chunks_mut::<2>().0) {
        *pair = [sample; 2];
    }
}

fn smooth_horizontally(near: &[u8], row: &mut [u8]) {
    let last = near.len() - 1;
    for (x, pair) in row.as_chunks_mut::<2>().0.iter_mut().enumerate().take(near.len()) {
        let sample = |x: usize| u32::from(near[x]);
        let here = 3 * sample(x);
        // At the ends the neighbour is the sample itself, which gives it back unchanged.
        let (left, right) = (sample(x.saturating_sub(1)), sample((x + 1).min(last)));
        *pair = [((here + left + 1) >> 2) as u8, ((here + right + 2) >> 2) as u8];
    }
}

/// Weighs rows first, without rounding in between.
fn smooth_both(near: &[u8], far: &[u8], row: &mut [u8]) {
    let last = near.len() - 1;
    for (x, pair) in row.as_chunks_mut::<2>().0.iter_mut().enumerate().take(near.len()) {
        let sum = |x: usize| 3 * u32::from(near[x]) + u32::from(far[x]);
        let here = 3 * sum(x);
        let (left, right) = (sum(x.saturating_sub(1)), sum((x + 1).min(last)));
        *pair = [((here + left + 8) >> 4) as u8, ((here + right + 7) >> 4) as u8];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enlarged(samples: &[u8], width: usize, horizontal: u32, vertical: u32) -> Vec<Vec<u8>> {
        let rows = samples.len() / width * vertical as usize;
        let row = |y| {
            let mut row = vec![0; width * horizontal as usize];
            Plane { samples, width }.enlarged_row(y, horizontal, vertical, &mut row);
            row
        };
        (0..rows).map(row).collect()
    }

    #[test]
    fn halves_are_rounded_down_and_up_in_turn() {
        // 3/4 and 1/4 of 0 and 2 are 0.5 and 1.5.
        assert_eq!(enlarged(&[0, 2, 0], 3, 2, 1), [[0, 1, 1, 2, 0, 0]]);
        assert_eq!(enlarged(&[0, 2, 0], 1, 1, 2), [[0], [1], [1], [2], [0], [0]]);
        // Weights in sixteenths: 32, 96 and 128 of 16.
        assert_eq!(enlarged(&[0, 0, 8, 0, 0, 8], 3, 2, 2)[1], [0, 0, 0, 2, 6, 8]);
        assert_eq!(enlarged(&[0, 0, 0, 8, 8, 8], 3, 2, 2), [[0; 6], [2; 6], [6; 6], [8; 6]]);
    }

    #[test]
    fn narrow_planes_are_repeated() {
        assert_eq!(enlarged(&[0, 200], 2, 2, 1), [[0, 0, 200, 200]]);
        assert_eq!(enlarged(&[0, 200], 1, 2, 2), [[0, 0], [0, 0], [200, 200], [200, 200]]);
    }
}
