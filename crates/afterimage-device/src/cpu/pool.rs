//! The largest number of each window.

use crate::host::HostBuffer;
use crate::view::{Planes, ViewMut};
use rayon::prelude::*;

pub(super) fn max_pool(input: &Planes<HostBuffer>, mut out: ViewMut<HostBuffer>) {
    let Planes { height, width, .. } = *input;
    let (numbers, stride) = (input.view().numbers(), out.stride.max(1));
    if height < 2 || width < 2 {
        return;
    }
    let planes = numbers.par_chunks(height * width);
    out.numbers().par_chunks_mut(stride).zip(planes).for_each_init(Vec::new, |columns: &mut Vec<f32>, (out, plane)| {
        for (row, out) in out.chunks_mut(width / 2).take(height / 2).enumerate() {
            let mut lines = plane[2 * row * width..].chunks_exact(width).take(3);
            columns.clear();
            columns.extend(lines.next().into_iter().flatten());
            for line in lines {
                for (column, value) in columns.iter_mut().zip(line) {
                    *column = larger(*column, *value);
                }
            }
            for (index, out) in out.iter_mut().enumerate() {
                let window = &columns[2 * index..(2 * index + 3).min(width)];
                *out = window.iter().copied().fold(f32::NEG_INFINITY, larger);
            }
        }
    });
}

/// Unlike `max`, NaN if one of the two is.
fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooled(values: Vec<f32>, height: usize, width: usize) -> Vec<f32> {
        let (input, mut out) = (HostBuffer(values), HostBuffer(vec![9.0; (height / 2) * (width / 2)]));
        let cols = out.0.len();
        max_pool(&Planes { buffer: &input, channels: 1, height, width }, ViewMut::new(&mut out, 1, cols));
        out.0
    }

    #[test]
    fn windows_are_caffes() {
        // torch.nn.functional.max_pool2d(x, 3, 2, ceil_mode=True) gives the same for even sides and for these.
        assert_eq!(pooled((0..16).map(|value| value as f32).collect(), 4, 4), [10.0, 11.0, 14.0, 15.0]);
        assert_eq!(pooled((0..15).map(|value| -(value as f32)).collect(), 3, 5), [0.0, -2.0]);
        assert_eq!(pooled(vec![1.0, 2.0], 1, 2), [0.0; 0]);
    }

    #[test]
    fn what_is_no_number_stays() {
        for place in 0..9 {
            let mut values = vec![1.0; 9];
            values[place] = f32::NAN;
            assert!(pooled(values, 3, 3)[0].is_nan(), "{place}");
        }
    }
}
