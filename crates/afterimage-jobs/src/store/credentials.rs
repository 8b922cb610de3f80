//! Texts of API keys and their digests, the same for every store.
//!
//! A key's text has 256 random bits, so one round of SHA-256 is enough: nobody searches that space. A text that
//! somebody chose is as strong as it was chosen.

use crate::{Error, KeyId, NewKey, Result, Secret};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The public part and the text of a new key.
pub(super) fn draw(new: &NewKey) -> Result<(KeyId, Secret)> {
    let id = hex::encode(random::<6>()?);
    let secret = match &new.secret {
        Some(given) if given.expose().len() < Secret::MIN_BYTES => {
            let reason = format!("it needs at least {} bytes", Secret::MIN_BYTES);
            return Err(Error::UnusableKey { reason });
        }
        Some(given) => given.clone(),
        None => Secret::new(format!("ai_{id}_{}", hex::encode(random::<32>()?))),
    };
    Ok((KeyId::from(id), secret))
}

/// What is stored of a key's text.
pub(super) fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Compares digests without telling by time where they differ.
pub(super) fn same_digest(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// Random bytes of the operating system.
pub(super) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| Error::unavailable("random generator", error.to_string()))?;
    Ok(bytes)
}

/// The refusal of a text that was withdrawn.
pub(super) fn revoked() -> Error {
    Error::UnusableKey { reason: "it was revoked; choose another text".to_owned() }
}
