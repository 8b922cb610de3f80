//! Whether a model makes numbers: weights full of NaN, or a configuration that scales beyond f32, would otherwise end in a
//! black picture that looks like success.

use super::models::{Models, Part};
use afterimage_core::{Error, Result};
use rayon::prelude::*;
use std::fmt::Display;

/// Numbers that one task looks at: 256 KiB.
const CHUNK: usize = 1 << 16;

/// Refuses numbers that are none, which `part` made in `stage`.
///
/// # Errors
/// [`Error::ModelFile`] that names the part's files and the stage.
pub(super) fn finite(models: &Models, part: Part, stage: impl Display, numbers: &[f32]) -> Result<()> {
    if all_finite(numbers) {
        return Ok(());
    }
    let problem =
        format!("the model makes no numbers: NaN or infinity after {stage}; its weights or sizes are damaged");
    Err(Error::model_file(models.path_of(part), problem))
}

/// Whether every number is one. At the speed of memory: no branch for each number.
pub(super) fn all_finite(numbers: &[f32]) -> bool {
    let finite = |chunk: &[f32]| chunk.iter().fold(true, |finite, number| finite & number.is_finite());
    if numbers.len() <= CHUNK { finite(numbers) } else { numbers.par_chunks(CHUNK).all(finite) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_that_is_none_is_found_anywhere() {
        for length in [1, 7, CHUNK, 3 * CHUNK + 5] {
            let mut numbers = vec![f32::MAX; length];
            assert!(all_finite(&numbers));
            for (place, value) in [(0, f32::NAN), (length / 2, f32::INFINITY), (length - 1, f32::NEG_INFINITY)] {
                numbers[place] = value;
                assert!(!all_finite(&numbers), "{value} at {place} of {length}");
                numbers[place] = f32::MIN_POSITIVE / 2.0;
            }
        }
        assert!(all_finite(&[]));
    }
}
