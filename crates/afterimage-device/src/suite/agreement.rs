//! A device beside the plain one.

use crate::device::Device;
use crate::plain::Plain;
use afterimage_core::Result;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::fmt::Debug;

/// One call of one operation.
pub(super) trait Case: Debug {
    /// Largest difference from the plain device as a share of the expected number, or absolute below 1.
    const TOLERANCE: f32;

    /// Does it and reads the whole output buffer.
    fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>>;
}

/// Compares `device` with the plain one in many cases.
///
/// # Panics
/// With the smallest case that differs.
pub(super) fn agree<C: Case, D: Device>(device: &D, cases: &impl Strategy<Value = C>) {
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new_with_rng(config, deterministic()).run(cases, |case| {
        let fail = |error: afterimage_core::Error| TestCaseError::fail(error.to_string());
        let (found, expected) = (case.run(device).map_err(fail)?, case.run(&Plain).map_err(fail)?);
        if found.len() != expected.len() {
            return Err(TestCaseError::fail(format!("{} numbers, expected {}", found.len(), expected.len())));
        }
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let allowed = C::TOLERANCE * expected.abs().max(1.0);
            if (found - expected).abs() > allowed || found.is_nan() || expected.is_nan() {
                return Err(TestCaseError::fail(format!("number {index}: {found}, expected {expected}")));
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{}: {error}", device.name());
    }
}

fn deterministic() -> proptest::test_runner::TestRng {
    proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha)
}
