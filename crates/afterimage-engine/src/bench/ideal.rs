//! What a stage would take if all of it were as fast as the machine is at best.

use super::samples::TimeSamples;
use afterimage_device::WorkTally;
use afterimage_kernels::gemm::Ceilings;

/// The share of one stage, whose products have `product_ceiling`.
pub(super) fn share(work: WorkTally, samples: &TimeSamples, product_ceiling: f64, ceilings: &Ceilings) -> Option<f64> {
    let nanoseconds = work.products as f64 / product_ceiling
        + work.convolutions as f64 / ceilings.f32
        + work.bytes as f64 / ceilings.copy;
    (nanoseconds > 0.0 && samples.median > 0.0).then(|| nanoseconds / 1e6 / samples.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_at_the_ceilings_has_a_share_of_one() {
        let ceilings = Ceilings { f32: 100.0, bf16: None, int8: 200.0, copy: 10.0 };
        // 1 ms of products of integers, 2 ms of convolutions, 3 ms of bytes.
        let work = WorkTally { products: 200_000_000, convolutions: 200_000_000, bytes: 30_000_000 };
        let took = |median| TimeSamples { median, ..TimeSamples::default() };
        let found = share(work, &took(6.0), 200.0, &ceilings).unwrap();
        assert!((found - 1.0).abs() < 1e-9, "{found}");
        assert!((share(work, &took(12.0), 200.0, &ceilings).unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(share(WorkTally::default(), &took(6.0), 200.0, &ceilings), None);
        assert_eq!(share(work, &took(0.0), 200.0, &ceilings), None);
    }
}
