//! What tells one input picture from another in a result's file.

use afterimage_core::Picture;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// 32 hexadecimal digits of the SHA-256 of width, height (4 bytes each, little-endian) and pixels: equal for equal pixels,
/// whatever file they came from. It tells nothing of a picture that one does not have.
pub fn picture_digest(picture: &Picture) -> String {
    let mut hash = Sha256::new();
    hash.update(picture.width().to_le_bytes());
    hash.update(picture.height().to_le_bytes());
    hash.update(picture.rgb());
    hash.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_their_shape_count() {
        let digest = |width, height, fill| {
            let pixels = vec![fill; (width * height * 3) as usize];
            picture_digest(&Picture::from_rgb(width, height, pixels).unwrap())
        };
        assert_eq!(digest(4, 2, 7), digest(4, 2, 7));
        assert_eq!(digest(4, 2, 7).len(), 32);
        assert_ne!(digest(4, 2, 7), digest(2, 4, 7));
        assert_ne!(digest(4, 2, 7), digest(4, 2, 8));
    }
}
