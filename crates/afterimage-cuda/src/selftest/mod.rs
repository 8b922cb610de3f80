//! Every kernel that a card would use, against the processor, on the card itself.
//!
//! Kernels are compiled on machines that need not have a card of the kind that runs them. So none is trusted before it gave
//! the right numbers here: one that does not is struck, and the next one serves (the one for all operands in place of the one for
//! aligned ones). An operation without any kernel left is refused by name.
//!
//! | file | what |
//! |---|---|
//! | `cases.rs` | operations on small operands, generic over devices |
//! | `operands.rs` | what they work on |

mod cases;
mod operands;

use crate::cublaslt::{CublasLt, LibraryTrial};
use crate::cuda::{Arithmetic, Cuda};
use crate::failure::is_out_of_memory;
use afterimage_core::{Error, Result};
use afterimage_device::Cpu;
use cases::{SelfTestCase, cases, library_cases};
use std::collections::BTreeSet;

/// How far sums of products of bf16 numbers may be from those of f32, as a share of the largest number: two roundings to 8 bits
/// on the way in, one on the way out.
const ROUNDED: f32 = 0.02;
/// The same where rows are rounded to 8-bit floats: 4 bits on the way in.
const EIGHT_BITS: f32 = 0.1;
/// The same in f32: another order of sums.
const EXACT: f32 = 1e-4;

/// How names of the library's products begin.
const LIBRARY: &str = "cublaslt.";

/// What became of the kernels.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct SelfTest {
    /// Kernels that gave the right numbers.
    pub passed: Vec<&'static str>,
    /// Those that did not, and what they gave.
    pub struck: Vec<StruckKernel>,
    /// What no kernel is left for, a sentence each: the card cannot be used when there is any.
    pub missing: Vec<String>,
}

/// A kernel that nobody uses.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StruckKernel {
    /// Its name.
    pub name: &'static str,
    /// What is wrong.
    pub problem: String,
}

/// What is known while kernels are tried.
#[derive(Default)]
struct Trial {
    passed: BTreeSet<&'static str>,
    struck: Vec<StruckKernel>,
    missing: BTreeSet<String>,
}

impl SelfTest {
    /// Products of NVIDIA's library that gave the right numbers.
    pub fn library_products(&self) -> impl Iterator<Item = &'static str> {
        self.passed.iter().copied().filter(|name| name.starts_with(LIBRARY))
    }
}

impl Cuda {
    /// Tries every kernel; those that fail are struck. NVIDIA's library for products comes last, in their place.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] when a failure leaves the card unusable in this process, [`Error::Device`] when it has no memory left.
    pub fn self_test(&self) -> Result<SelfTest> {
        let mut trial = Trial::default();
        let oracle = Cpu::detect();
        let cases = cases(self.is_exact(), self.arithmetic == Arithmetic::Int8);
        self.set_library_trial(LibraryTrial::OfOurOwn);
        for case in &cases {
            self.try_case(case, &case.run(&oracle)?, &mut trial)?;
        }
        self.set_library_trial(LibraryTrial::OfTheLibrary);
        if let Some(library) = &self.library {
            for case in library_cases() {
                self.try_case(&case, &case.run(&oracle)?, &mut trial)?;
            }
            // What it had nothing for is not known to be right where it has something.
            library.trust(trial.passed.iter().copied());
            // What it refused to do on the way.
            for (name, problem) in library.struck() {
                if trial.struck.iter().all(|struck| struck.name != name) {
                    trial.struck.push(StruckKernel { name, problem: problem.to_owned() });
                }
            }
        }
        self.set_library_trial(LibraryTrial::Over);
        let Trial { passed, struck, missing } = trial;
        Ok(SelfTest { passed: passed.into_iter().collect(), struck, missing: missing.into_iter().collect() })
    }

    fn set_library_trial(&self, trial: LibraryTrial) {
        if let Some(library) = &self.library {
            library.set_trial(trial);
        }
    }

    /// Has NVIDIA's library asked for products of these names, which passed a self-test that was kept. Without one, or
    /// [`Cuda::self_test`], it is asked for none.
    pub fn trust_library<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        if let Some(library) = &self.library {
            library.trust(names);
        }
    }

    fn try_case(&self, case: &SelfTestCase, expected: &[f32], trial: &mut Trial) -> Result<()> {
        // Each failure strikes a kernel, so that this ends.
        loop {
            self.kernels.forget_launches();
            self.library.iter().for_each(CublasLt::forget_launches);
            let found = case.run(self);
            let mut launched = self.kernels.launched();
            // Last, as what the case is about.
            launched.extend(self.library.iter().flat_map(CublasLt::launched));
            let problem = match found {
                Ok(found) => difference(&found, expected, self.tolerance(case)),
                Err(error @ Error::DeviceLost { .. }) => return Err(error),
                // The card is full, not wrong.
                Err(error) if is_out_of_memory(&error) => return Err(error),
                // Struck before, or not for this card: nobody is to blame a second time.
                Err(error) if self.kernels.was_missing() => {
                    trial.missing.insert(error.to_string());
                    return Ok(());
                }
                Err(error) => Some(error.to_string()),
            };
            let Some(problem) = problem else {
                trial.passed.extend(launched);
                return Ok(());
            };
            // What passed elsewhere is not to blame; where all did, the one that the case is about is.
            let suspects: Vec<_> = launched.iter().copied().filter(|name| !trial.passed.contains(name)).collect();
            let blamed = suspects.last().or(launched.last()).copied();
            // Nothing was launched: what the case is about is not known to be right.
            let Some(name) = blamed else {
                trial.missing.insert(problem);
                return Ok(());
            };
            trial.passed.remove(name);
            let is_of_library = self.library.as_ref().is_some_and(|library| library.strike(name, &problem));
            if !is_of_library {
                self.kernels.strike(name);
            }
            trial.struck.push(StruckKernel { name, problem });
        }
    }

    fn tolerance(&self, case: &SelfTestCase) -> f32 {
        if self.is_exact() || case.is_exact {
            EXACT
        } else if self.arithmetic == Arithmetic::Fp8 && case.is_of_eight_bits() {
            EIGHT_BITS
        } else {
            ROUNDED
        }
    }
}

/// What is wrong with `found`; numbers may differ by `tolerance` of the largest.
fn difference(found: &[f32], expected: &[f32], tolerance: f32) -> Option<String> {
    if found.len() != expected.len() {
        return Some(format!("{} numbers, expected {}", found.len(), expected.len()));
    }
    let largest = expected.iter().fold(1.0_f32, |largest, number| largest.max(number.abs()));
    found.iter().zip(expected).enumerate().find_map(|(index, (found, expected))| {
        let is_near = (found - expected).abs() <= tolerance * largest;
        (!is_near).then(|| format!("number {index} is {found}, expected {expected}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_differ() {
        assert_eq!(difference(&[1.0, 2.0], &[1.0, 2.01], 0.01), None);
        for (found, expected) in [(&[f32::NAN][..], &[1.0][..]), (&[], &[1.0]), (&[1.1], &[1.0])] {
            assert!(difference(found, expected, 0.01).is_some(), "{found:?}");
        }
    }
}
