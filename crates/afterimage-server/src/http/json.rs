//! JSON bodies, read within limits.

use super::body::{BodyReader, JSON_LIMIT, SMALL_JSON_LIMIT};
use super::{bounded_json, off_thread};
use crate::parameters::Parameter;
use crate::refusal::Refusal;
use afterimage_jobs::KeyId;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value};

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
    bodies: &BodyReader,
    key: &KeyId,
    headers: &HeaderMap,
    body: Body,
    fields: Fields,
) -> Result<(Map<String, Value>, Bytes), Refusal> {
    let bytes = bodies.read(key, headers, body, fields.limit).await?;
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

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse_object(&bytes, &["a"]);
        }
    }
}
