//! How large numbers are in the mean.

use super::rows::map_pairs;
use crate::host::HostBuffer;
use crate::view::View;

/// Sums side by side, for vectors. A row's sums are f32, which is enough for a few thousand numbers; rows are added up in f64.
const LANES: usize = 8;

/// Mean magnitudes of `x − y` and of `y`. Rows are summed by themselves and added up in their order: threads change nothing.
pub(super) fn magnitudes(x: View<HostBuffer>, y: View<HostBuffer>) -> [f32; 2] {
    let rows = map_pairs(x, y, sums);
    let mean = |which: usize| {
        let sum: f64 = rows.iter().map(|sums| f64::from(sums[which])).sum();
        (sum / (x.rows * x.cols) as f64) as f32
    };
    [mean(0), mean(1)]
}

/// Sums of the magnitudes of `x − y` and of `y`.
fn sums(x: &[f32], y: &[f32]) -> [f32; 2] {
    let (mut changes, mut sizes) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let whole = x.len() / LANES * LANES;
    for (x, y) in x[..whole].chunks_exact(LANES).zip(y[..whole].chunks_exact(LANES)) {
        for lane in 0..LANES {
            changes[lane] += (x[lane] - y[lane]).abs();
            sizes[lane] += y[lane].abs();
        }
    }
    for (lane, (x, y)) in x[whole..].iter().zip(&y[whole..]).enumerate() {
        changes[lane] += (x - y).abs();
        sizes[lane] += y.abs();
    }
    [changes.iter().sum(), sizes.iter().sum()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_change_nothing() {
        let numbers = |factor: f32| HostBuffer((0..700 * 61).map(|index| (factor * index as f32).sin()).collect());
        let (x, y) = (numbers(0.37), numbers(1.91));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| magnitudes(View::new(&x, 700, 61), View::new(&y, 700, 61)).map(f32::to_bits))
        };
        assert_eq!(on(1), on(3));
    }
}
