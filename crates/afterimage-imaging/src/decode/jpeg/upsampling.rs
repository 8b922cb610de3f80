//! Enlargement of subsampled JPEG components to the bit as in libjpeg-turbo (`jdsample.c`).
//!
//! At half resolution it is "fancy": samples lie centred between the pixels they stand for, so each pixel gets 3/4 of
//! the nearer and 1/4 of the farther sample along an axis. Halves are rounded down and up in turn, which keeps the mean.
//! Any other fraction is repeated.

use super::frame::{FrameComponent, JpegFrame};

/// The samples of a component.
pub(super) struct Plane {
    /// Rows of `stride`, of which the first `width` count; the same for rows below `height`.
    samples: Vec<u8>,
    stride: usize,
    width: usize,
    height: usize,
    /// By how much it is to be enlarged, 1 to 4.
    horizontal: usize,
    vertical: usize,
}

impl Plane {
    /// `samples` are in rows of whole blocks.
    pub(super) fn new(frame: &JpegFrame, component: &FrameComponent, samples: Vec<u8>) -> Self {
        let (horizontal, vertical) = frame.largest_sampling();
        let (width, height) = frame.stored_size(component);
        Self {
            samples,
            stride: width as usize / 8 * 8 + if width.is_multiple_of(8) { 0 } else { 8 },
            width: width as usize,
            height: height as usize,
            horizontal: (horizontal / component.horizontal) as usize,
            vertical: (vertical / component.vertical) as usize,
        }
    }

    /// Pixels of an enlarged row: at least the width of the picture.
    pub(super) fn enlarged_width(&self) -> usize {
        self.width * self.horizontal
    }

    /// Row `index`, or the last one.
    fn row(&self, index: usize) -> &[u8] {
        let start = index.min(self.height - 1) * self.stride;
        self.samples.get(start..start + self.width).unwrap_or_default()
    }

    /// Row `y` of the enlarged plane, written to `buffer` if it is not there yet. The buffer has the enlarged width.
    pub(super) fn enlarged_row<'a>(&'a self, y: usize, buffer: &'a mut [u8]) -> &'a [u8] {
        // libjpeg does not smooth what is too narrow for its loop over inner columns.
        let is_narrow = self.width <= 2;
        let near = self.row(y / self.vertical);
        let is_upper = y.is_multiple_of(2);
        let far = || self.row(if is_upper { (y / 2).saturating_sub(1) } else { y / 2 + 1 });
        match (self.horizontal, self.vertical) {
            (1, 1) => return near,
            (1, 2) => smooth_vertically(near, far(), is_upper, buffer),
            (2, 1) if !is_narrow => smooth_horizontally(near, buffer),
            (2, 2) if !is_narrow => smooth_both(near, far(), buffer),
            _ => repeat(near, self.horizontal, buffer),
        }
        buffer
    }
}

fn repeat(near: &[u8], times: usize, row: &mut [u8]) {
    for (&sample, pixels) in near.iter().zip(row.chunks_exact_mut(times)) {
        pixels.fill(sample);
    }
}

fn smooth_vertically(near: &[u8], far: &[u8], is_upper: bool, row: &mut [u8]) {
    let bias = if is_upper { 1 } else { 2 };
    for ((&near, &far), pixel) in near.iter().zip(far).zip(row) {
        *pixel = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
    }
}

fn smooth_horizontally(near: &[u8], row: &mut [u8]) {
    smooth_line(
        near.iter().map(|&sample| u16::from(sample)),
        |here, left, right| [((3 * here + left + 1) >> 2) as u8, ((3 * here + right + 2) >> 2) as u8],
        row,
    );
}

/// Weighs rows first, without rounding in between.
fn smooth_both(near: &[u8], far: &[u8], row: &mut [u8]) {
    let sums = near.iter().zip(far).map(|(&near, &far)| 3 * u16::from(near) + u16::from(far));
    smooth_line(
        sums,
        |here, left, right| [((3 * here + left + 8) >> 4) as u8, ((3 * here + right + 7) >> 4) as u8],
        row,
    );
}

/// Writes a pair of pixels for each value and its neighbours. At the ends the neighbour is the value itself.
fn smooth_line(values: impl Iterator<Item = u16>, pair: impl Fn(u16, u16, u16) -> [u8; 2], row: &mut [u8]) {
    let mut values = values;
    let Some(mut here) = values.next() else { return };
    let mut left = here;
    let mut pairs = row.as_chunks_mut::<2>().0.iter_mut();
    for (right, pixels) in values.zip(&mut pairs) {
        *pixels = pair(here, left, right);
        (left, here) = (here, right);
    }
    if let Some(pixels) = pairs.next() {
        *pixels = pair(here, left, here);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enlarged(samples: &[u8], width: usize, horizontal: usize, vertical: usize) -> Vec<Vec<u8>> {
        let height = samples.len() / width;
        let plane = Plane { samples: samples.to_vec(), stride: width, width, height, horizontal, vertical };
        (0..height * vertical).map(|y| plane.enlarged_row(y, &mut vec![0; width * horizontal]).to_vec()).collect()
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
    fn narrow_planes_and_other_fractions_are_repeated() {
        assert_eq!(enlarged(&[0, 200], 2, 2, 1), [[0, 0, 200, 200]]);
        assert_eq!(enlarged(&[0, 200], 1, 2, 2), [[0, 0], [0, 0], [200, 200], [200, 200]]);
        assert_eq!(enlarged(&[0, 100, 200], 3, 4, 1), [[0, 0, 0, 0, 100, 100, 100, 100, 200, 200, 200, 200]]);
        assert_eq!(enlarged(&[7, 9], 1, 1, 4), [[7], [7], [7], [7], [9], [9], [9], [9]]);
    }
}
