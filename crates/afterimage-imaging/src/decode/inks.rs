//! Four inks to RGB over a grid, as Little CMS and so Pillow's `ImageCms` interpolates them.
//!
//! Little CMS does not follow a printer's profile pixel by pixel: it reads the profile at 17 levels of each ink and
//! interpolates in between. What that leaves out is several levels in dark colours, so the same is done here.

use rayon::prelude::*;

/// Levels of each ink that are read from the profile.
const POINTS: usize = 17;

/// Distance in the grid from one level of an ink to the next.
const STRIDES: [usize; 4] = [POINTS * POINTS * POINTS, POINTS * POINTS, POINTS, 1];

/// Pixels that one thread converts at a time.
const PIXELS_PER_TASK: usize = 1 << 14;

/// Colours at all combinations of levels, black the fastest.
pub(super) struct InkGrid {
    colors: Vec<[f32; 3]>,
}

impl InkGrid {
    /// Reads the grid through `convert`, which takes inks and returns colours, from 0 to 1.
    pub(super) fn new(convert: impl Fn(&[f32], &mut [f32]) -> Option<()>) -> Option<Self> {
        let level = |index: usize| index as f32 / (POINTS - 1) as f32;
        let count = POINTS.pow(4);
        let inks: Vec<f32> = (0..count).flat_map(|node| STRIDES.map(|stride| level(node / stride % POINTS))).collect();
        let mut colors = vec![0.0; 3 * count];
        convert(&inks, &mut colors)?;
        Some(Self { colors: colors.as_chunks::<3>().0.to_vec() })
    }

    /// Converts pixels of four inks to RGB, at the front of the same memory.
    pub(super) fn convert(&self, mut samples: Vec<u8>) -> Vec<u8> {
        samples.par_chunks_mut(4 * PIXELS_PER_TASK).for_each(|samples| {
            for pixel in samples.as_chunks_mut::<4>().0 {
                let [red, green, blue] = self.color(*pixel);
                *pixel = [red, green, blue, 0];
            }
        });
        super::pixels::shrink(samples, |[red, green, blue, _]| [red, green, blue])
    }

    /// Linear between two grids of cyan, in each of them between the corners of a tetrahedron.
    fn color(&self, inks: [u8; 4]) -> [u8; 3] {
        let places = inks.map(|ink| {
            let place = usize::from(ink) * (POINTS - 1);
            (place / 255, (place % 255) as f32 / 255.0)
        });
        let base: usize = places.iter().zip(STRIDES).map(|((index, _), stride)| index * stride).sum();
        let mut steps = [(places[1].1, STRIDES[1]), (places[2].1, STRIDES[2]), (places[3].1, STRIDES[3])];
        // From the ink that is furthest from its lower level on; equal ones make no difference.
        steps.sort_by(|one, other| other.0.total_cmp(&one.0));
        let (share, step) = (places[0].1, if places[0].1 > 0.0 { STRIDES[0] } else { 0 });
        let [low, high] = [base, base + step].map(|base| self.between(base, steps));
        std::array::from_fn(|channel| {
            let value = low[channel] + (high[channel] - low[channel]) * share;
            (value * 255.0 + 0.5) as u8
        })
    }

    /// Walks from the lowest corner to the highest, adding each difference in its share.
    fn between(&self, base: usize, steps: [(f32, usize); 3]) -> [f32; 3] {
        let at = |node: usize| self.colors.get(node).copied().unwrap_or_default();
        let mut node = base;
        let mut corner = at(node);
        let mut value = corner;
        for (share, step) in steps {
            if share <= 0.0 {
                break;
            }
            node += step;
            let next = at(node);
            for channel in 0..3 {
                value[channel] += (next[channel] - corner[channel]) * share;
            }
            corner = next;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linear_stays_exact() {
        let grid = InkGrid::new(|inks, colors| {
            for (inks, color) in inks.as_chunks::<4>().0.iter().zip(colors.as_chunks_mut::<3>().0) {
                *color = [1.0 - inks[0], inks[1] / 2.0 + inks[2] / 2.0, inks[3]];
            }
            Some(())
        });
        let colors = grid.unwrap().convert(vec![0, 0, 0, 0, 255, 255, 255, 255, 100, 80, 40, 7, 16, 200, 0, 254]);
        assert_eq!(colors, [255, 0, 0, 0, 255, 255, 155, 60, 7, 239, 100, 254]);
    }

    #[test]
    fn a_profile_that_cannot_be_read_is_none() {
        assert!(InkGrid::new(|_, _| None).is_none());
    }
}
