//! Area averaging, as torch's `interpolate(mode="area")` does it.

use rayon::prelude::*;

/// Averages a grid of `from` = [rows, columns] cells down to `to`. A cell has as many numbers as fit, all together:
/// `[rows, columns, numbers]`. Output cell i covers the inputs from ⌊i·n/m⌋ to ⌈(i+1)·n/m⌉ of each axis, so neighbouring
/// cells may share some.
///
/// # Panics
/// When a side is 0, or `values` is not a whole number for each cell.
pub fn area_average(values: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let cells = from[0] * from[1];
    assert!(cells > 0 && values.len().is_multiple_of(cells), "a grid of {}x{}", from[0], from[1]);
    assert!(to[0] > 0 && to[1] > 0, "to a grid of {}x{}", to[0], to[1]);
    let width = values.len() / cells;
    if from == to || width == 0 {
        return values.to_vec();
    }
    let span = |axis: usize, cell: usize| cell * from[axis] / to[axis]..((cell + 1) * from[axis]).div_ceil(to[axis]);
    let mut averages = vec![0.0; to[0] * to[1] * width];
    averages.par_chunks_mut(width).enumerate().for_each(|(cell, average)| {
        let (rows, columns) = (span(0, cell / to[1]), span(1, cell % to[1]));
        let count = (rows.len() * columns.len()) as f32;
        for row in rows {
            for column in columns.clone() {
                let source = &values[(row * from[1] + column) * width..][..width];
                for (sum, value) in average.iter_mut().zip(source) {
                    *sum += value;
                }
            }
        }
        for sum in average {
            *sum /= count;
        }
    });
    averages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_torchs() {
        // interpolate(arange(15.).view(1, 1, 3, 5), size=(2, 3), mode="area"), worked out by torch's rule: rows 0..2 and
        // 1..3, columns 0..2, 1..4 and 3..5.
        let values: Vec<f32> = (0..15).map(|value| value as f32).collect();
        assert_eq!(area_average(&values, [3, 5], [2, 3]), [3.0, 4.5, 6.0, 8.0, 9.5, 11.0]);
        assert_eq!(area_average(&values, [3, 5], [3, 5]), values);
        assert_eq!(area_average(&values, [3, 5], [1, 1]), [7.0]);
    }
}
