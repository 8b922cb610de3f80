//! The bytes of the embedded safety checker, its licence and its notice, and nothing else.
//!
//! `open_nsfw` by Yahoo (2016), a residual network of 50 layers with half the filters, its weights rounded to 8 bits.

/// What results and messages call it.
pub const NAME: &str = "open_nsfw";

/// `open_nsfw-i8.safetensors`: `NAME.weight` `[out, in, height, width]` and `NAME.bias` `[out]` of every layer. Where there
/// is a `NAME.scale` `[out]`, the weight is of 8-bit integers and means `integer · scale[out]`; else it is of f16.
pub static WEIGHTS: &[u8] = include_bytes!("../open_nsfw-i8.safetensors");

/// The licence of the weights: BSD 2-Clause, Copyright 2016, Yahoo Inc. It must come with every copy of the program.
pub const LICENCE: &str = include_str!("../open_nsfw-BSD-2-Clause.txt");

/// Where the weights come from and what was changed.
pub const NOTICE: &str = include_str!("../NOTICE.txt");

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::fmt::Write;

    #[test]
    fn the_weights_are_those_that_were_checked() {
        let digest = Sha256::digest(WEIGHTS).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        assert_eq!(digest, "402fcc5c3efa51513ec7d4a3cb8ccd142d916690291e1f4379602cd9a1f82d52");
    }

    #[test]
    fn the_licence_names_its_holder() {
        assert!(LICENCE.contains("Copyright 2016, Yahoo Inc.") && LICENCE.contains("THIS SOFTWARE IS PROVIDED"));
        assert!(NOTICE.contains("Copyright 2016, Yahoo Inc.") && NOTICE.contains("weights rounded to 8 bits"));
    }
}
