//! Models that make no numbers: damaged weights, or a configuration that does not belong to them.
//!
//! What a network hands on is looked at once, after it has run, not in its inner loops: one pass over the numbers of a
//! picture's latents or of a prompt's tokens is nothing beside what made them.

use afterimage_core::{Error, Result};
use std::path::PathBuf;

/// Refuses `numbers` that hold a NaN or an infinity; `what` made them, from the weights in `part`.
///
/// # Errors
/// [`Error::ModelFile`].
pub(super) fn check(numbers: &[f32], part: impl FnOnce() -> PathBuf, what: &str) -> Result<()> {
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::model_file(
            part(),
            format!(
                "{what} made {} in place of a number; its weights or its configuration are damaged or of another model",
                numbers[index]
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_pass() {
        let check = |numbers: &[f32]| check(numbers, || "vae".into(), "the decoder").map_err(|error| error.to_string());
        assert_eq!(check(&[0.0, -1e38, f32::MIN_POSITIVE / 2.0]), Ok(()));
        assert_eq!(check(&[]), Ok(()));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let message = check(&[1.0, bad]).unwrap_err();
            assert!(message.starts_with("vae: the decoder made ") && message.contains(&bad.to_string()), "{message}");
        }
    }
}
