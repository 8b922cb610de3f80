//! Weights that are no numbers: of a damaged file, or a tampered one. A checker that answers NaN must not come to look.

use crate::weights::Component;
use afterimage_core::{Error, Result};
use afterimage_tensors::{StoredTensor, to_f32};
use rayon::prelude::*;

/// Numbers that one task looks at.
const NUMBERS: usize = 1 << 14;

/// Refuses weights with a NaN or an infinity in any tensor whose type models can use; others are of no use to a checker,
/// or it refuses them itself.
///
/// # Errors
/// [`Error::Tensor`] for the first such tensor.
pub(super) fn check(component: &Component) -> Result<()> {
    for name in component.names() {
        let Some(file) = component.file_of(name) else { continue };
        if file.tensor(name).is_some_and(|tensor| !is_finite(&tensor)) {
            return Err(Error::Tensor {
                path: file.path().to_path_buf(),
                tensor: name.to_owned(),
                expected: "finite numbers".to_owned(),
                found: "NaN or infinity".to_owned(),
            });
        }
    }
    Ok(())
}

fn is_finite(tensor: &StoredTensor) -> bool {
    let element = tensor.element();
    tensor.bytes().par_chunks(NUMBERS / element.block() * element.block_bytes()).all(|stored| {
        let mut values = vec![0.0; element.numbers(stored.len()).unwrap_or(0)];
        to_f32(stored, element, &mut values);
        values.iter().fold(true, |finite, value| finite & value.is_finite())
    })
}
