//! What tells a repeated request from a new one.

use crate::auth::TOKEN_PARAMETER;
use crate::refusal::Refusal;
use afterimage_jobs::Idempotency;
use axum::http::{HeaderMap, Uri};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

/// Longest idempotency key.
const IDEMPOTENCY_KEY_BYTES: usize = 255;

/// The `Idempotency-Key` header, with a digest of what it stands for: path, body, and the parameters of the query.
///
/// # Errors
/// [`Refusal::BadBody`] for one that is empty, too long or not text.
pub fn idempotency(headers: &HeaderMap, uri: &Uri, body: &[u8]) -> Result<Option<Idempotency>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key =
        value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_BYTES).ok_or_else(|| {
            let message = format!("Idempotency-Key: must be 1 to {IDEMPOTENCY_KEY_BYTES} printable characters");
            Refusal::BadBody(message)
        })?;
    let mut digest = Sha256::new();
    digest.update(uri.path().as_bytes());
    digest.update([0]);
    digest.update(body);
    let mut fingerprint = digest.finalize();
    // Where the end is to be reported is part of what was asked for; by which right is not.
    let query = uri.query().unwrap_or_default().as_bytes();
    for (name, value) in form_urlencoded::parse(query).filter(|(name, _)| name != TOKEN_PARAMETER) {
        let digest = Sha256::new().chain_update(fingerprint).chain_update(name.as_bytes()).chain_update([0]);
        fingerprint = digest.chain_update(value.as_bytes()).finalize();
    }
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint: hex::encode(fingerprint) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_on_another_path_query_or_body_has_another_fingerprint() {
        let headers: HeaderMap = [("idempotency-key".parse().unwrap(), "k".parse().unwrap())].into_iter().collect();
        let of =
            |uri: &str, body: &[u8]| idempotency(&headers, &uri.parse().unwrap(), body).unwrap().unwrap().fingerprint;
        assert_eq!(of("/a", b"x"), of("/a", b"x"));
        assert_ne!(of("/a", b"x"), of("/b", b"x"));
        assert_ne!(of("/a", b"x"), of("/a", b"y"));
        assert_ne!(of("/a?webhook=x", b"x"), of("/a", b"x"));
        assert_ne!(of("/a?webhook=x", b"x"), of("/a?webhook=y", b"x"));
        assert_ne!(of("/a?b=c", b"x"), of("/a", b"xb\0c"), "what is the query's cannot be the body's");
        // A token is new at each try and says nothing about what is asked for.
        assert_eq!(of("/a?fal_jwt_token=x&webhook=y", b"x"), of("/a?webhook=y&fal_jwt_token=z", b"x"));
        assert_eq!(idempotency(&HeaderMap::new(), &"/a".parse().unwrap(), b"").unwrap(), None);
    }
}
