//! Encoded prompts and pictures of earlier requests: people try seeds and settings on one picture, and a full-size T5
//! and SigLIP cost seconds each.

use super::cache::Cache;
use super::loras::LoraUse;
use afterimage_core::Picture;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Bytes of either kind that are kept: three prompts or two pictures of full-size FLUX.1 (512 and 729 tokens of 4096
/// numbers).
const BUDGET: u64 = 32 << 20;

/// T5 tokens and the pooled CLIP vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    /// `[tokens, joint_attention_dim]`
    pub tokens: Vec<f32>,
    /// `[pooled_projection_dim]`
    pub pooled: Vec<f32>,
    /// How many equal tokens each row of `tokens` stands for.
    pub repeated: usize,
}

/// What one engine remembers.
pub(crate) struct Encodings {
    /// Prompt to T5 tokens and pooled CLIP vector.
    pub texts: Cache<Of<TextKey>, Text>,
    /// Picture to Redux tokens.
    pub pictures: Cache<Of<PictureKey>, Vec<f32>>,
}

impl Default for Encodings {
    fn default() -> Self {
        let numbers = |numbers: &[f32]| size_of_val(numbers);
        Self {
            texts: Cache::new(BUDGET, move |of: &Of<TextKey>, text: &Text| {
                of.what.text.len() + numbers(&text.tokens) + numbers(&text.pooled)
            }),
            pictures: Cache::new(BUDGET, move |_: &Of<PictureKey>, tokens: &Vec<f32>| numbers(tokens)),
        }
    }
}

/// What a tenant's request asks for. Part of every key, since a hit saves seconds and the answer says so: shared between
/// tenants, the cache would tell each what the others make their pictures of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Of<K> {
    tenant: Arc<str>,
    what: K,
}

impl<K> Of<K> {
    pub fn new(tenant: &str, what: K) -> Self {
        Self { tenant: tenant.into(), what }
    }
}

/// A prompt, and what changes the encoders that read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TextKey {
    pub text: String,
    pub loras: Vec<LoraUse>,
}

/// A picture as its Redux tokens know it: size and pixels. Pixels are compared by their SHA-256, since a tenant's pictures may come from strangers and nobody must be able to make two collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PictureKey {
    width: u32,
    height: u32,
    digest: [u8; 32],
}

impl PictureKey {
    pub fn new(picture: &Picture) -> Self {
        Self { width: picture.width(), height: picture.height(), digest: Sha256::digest(picture.rgb()).into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, fill: u8) -> Picture {
        Picture::from_rgb(width, height, vec![fill; (width * height * 3) as usize]).unwrap()
    }

    #[test]
    fn pictures_with_equal_bytes_in_another_shape_are_others() {
        let key = PictureKey::new(&picture(4, 2, 7));
        assert_eq!(key, PictureKey::new(&picture(4, 2, 7)));
        assert_ne!(key, PictureKey::new(&picture(2, 4, 7)));
        assert_ne!(key, PictureKey::new(&picture(4, 2, 8)));
    }
}
