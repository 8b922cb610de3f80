//! JSON bodies, read within limits.

use super::bounded_json;
use crate::app::App;
use crate::dialects::fal::CALL_TOKEN;
use crate::http::body::{JSON_LIMIT, SMALL_JSON_LIMIT, off_thread};
use crate::parameters::Parameter;
use crate::refusal::Refusal;
use afterimage_jobs::{Idempotency, KeyId};
use axum::body::Body;
use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

/// What a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    names: Vec<&'static str>,
    limit: usize,
}

impl Fields {
    /// Fields without pictures.
    pub fn small(names: &[&'static str]) -> Self {
        Self { names: names.to_vec(), limit: SMALL_JSON_LIMIT }
    }

    /// The fields of `parameters`, without pictures.
    pub fn of(parameters: &[Parameter]) -> Self {
        Self { names: parameters.iter().map(|parameter| parameter.name).collect(), limit: SMALL_JSON_LIMIT }
    }

    /// The same and `names`, all of which may hold pictures.
    #[must_use]
    pub fn with_pictures(mut self, names: &[&'static str]) -> Self {
        self.names.extend_from_slice(names);
        Self { limit: JSON_LIMIT, ..self }
    }
}

/// Reads the body of a request of `key` as a JSON object with `fields`; others are skipped. An empty body is an empty
/// object. The declared content type is not looked at: clients send JSON under many names.
///
/// # Errors
/// [`Refusal::BadBody`] and those of reading.
pub async fn read_object(
    app: &App,
    key: &KeyId,
    headers: &HeaderMap,
    body: Body,
    fields: Fields,
) -> Result<(Map<String, Value>, Bytes), Refusal> {
    let bytes = app.bodies.read(key, headers, body, fields.limit).await?;
    let shared = bytes.clone();
    let object = off_thread(bytes.len(), move || parse_object(&shared, &fields.names)).await?;
    Ok((object, bytes))
}

/// What some editors and libraries write in front of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn parse_object(bytes: &[u8], names: &[&str]) -> Result<Map<String, Value>, Refusal> {
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
    match text.first() {
        None => Ok(Map::new()),
        Some(b'{') => bounded_json::read(text, names)
            .map_err(|error| Refusal::BadBody(format!("the body is not JSON that can be read: {error}"))),
        Some(_) => Err(Refusal::BadBody("the body must be a JSON object".to_owned())),
    }
}

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
    for (name, value) in form_urlencoded::parse(query).filter(|(name, _)| name != CALL_TOKEN) {
        let digest = Sha256::new().chain_update(fingerprint).chain_update(name.as_bytes()).chain_update([0]);
        fingerprint = digest.chain_update(value.as_bytes()).finalize();
    }
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint: hex::encode(fingerprint) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_objects_are_taken() {
        for empty in [&b""[..], b" \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf {}"] {
            assert_eq!(parse_object(empty, &["a"]).unwrap(), Map::new());
        }
        for good in [&b" {\"a\": 1} "[..], b"\xef\xbb\xbf{\"a\": 1}"] {
            assert_eq!(parse_object(good, &["a"]).unwrap()["a"], 1);
        }
        for bad in [
            &b"[]"[..],
            b"1",
            b"null",
            b"{",
            b"{\"a\": 1e400}",
            b"{\"a\": \"\\ud800\"}",
            b"\xff\xfe",
            b"\xef\xbb\xbf\xef\xbb\xbf{}",
            b"\xef\xbb{}",
            "[".repeat(10_000).as_bytes(),
            format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).as_bytes(),
        ] {
            assert!(matches!(parse_object(bad, &["a"]), Err(Refusal::BadBody(_))), "{:?}", &bad[..bad.len().min(20)]);
        }
    }

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

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse_object(&bytes, &["a"]);
        }
    }
}
