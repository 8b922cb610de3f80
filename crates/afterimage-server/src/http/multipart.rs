//! Multipart bodies: fields in any order, every part bounded.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;

/// Parts that are kept of one body.
const PARTS: usize = 64;

/// Parts that one body may have with those that nobody wants: passing over one costs little, a million much.
const ALL_PARTS: usize = 4096;

/// Bytes of a boundary (RFC 2046 allows 70).
const BOUNDARY: usize = 70;

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormPart {
    /// Name of the form field.
    pub name: String,
    /// The file name as the client sent it: a label for people, never a path.
    pub filename: Option<String>,
    /// The content.
    pub bytes: Bytes,
}

/// Why a multipart body was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MultipartError {
    /// Another content type, or one without a usable boundary.
    #[error("the Content-Type must be multipart/form-data with a boundary")]
    ContentType,
    /// The body does not follow its boundary.
    #[error("the multipart body is malformed: {0}")]
    Malformed(String),
    /// More parts than anyone needs.
    #[error("the multipart body has more than {0} parts")]
    TooManyParts(usize),
    /// A part without a name.
    #[error("a part of the multipart body has no name")]
    Unnamed,
}

/// Whether a body is declared to be a form with files.
pub fn is_form(headers: &HeaderMap) -> bool {
    declared_type(headers).starts_with("multipart/")
}

/// Whether a body is declared to be JSON, under any of its names.
pub fn is_json(headers: &HeaderMap) -> bool {
    let declared = declared_type(headers);
    let media_type = declared.split(';').next().unwrap_or_default().trim_end();
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

fn declared_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.trim_start().to_ascii_lowercase()
}

/// Takes the parts whose names are `wanted` out of `body`; of the others not even the content is looked at. Declared
/// types are not, either: what a file is, its content says.
///
/// # Errors
/// [`MultipartError`].
pub async fn parts(
    headers: &HeaderMap,
    body: Bytes,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<FormPart>, MultipartError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| MultipartError::ContentType)?;
    if boundary.is_empty() || boundary.len() > BOUNDARY {
        return Err(MultipartError::ContentType);
    }
    let malformed = |error: multer::Error| MultipartError::Malformed(error.to_string());
    let mut multipart = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    let (mut parts, mut seen) = (Vec::new(), 0);
    while let Some(field) = multipart.next_field().await.map_err(malformed)? {
        seen += 1;
        if seen > ALL_PARTS {
            return Err(MultipartError::TooManyParts(ALL_PARTS));
        }
        if !wanted(field.name().ok_or(MultipartError::Unnamed)?) {
            continue;
        }
        if parts.len() == PARTS {
            return Err(MultipartError::TooManyParts(PARTS));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let filename = field.file_name().map(str::to_owned);
        parts.push(FormPart { name, filename, bytes: field.bytes().await.map_err(malformed)? });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    async fn parts(headers: &HeaderMap, body: Bytes) -> Result<Vec<FormPart>, MultipartError> {
        super::parts(headers, body, |name| ["n", "file"].contains(&name)).await
    }

    fn headers(content_type: &str) -> HeaderMap {
        [(header::CONTENT_TYPE, content_type.parse().unwrap())].into_iter().collect()
    }

    fn body(parts: &[(&str, &str)], end: &str) -> Bytes {
        let mut text = String::new();
        for (disposition, content) in parts {
            write!(text, "--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n").unwrap();
        }
        Bytes::from(text + end)
    }

    #[tokio::test]
    async fn fields_and_files_in_any_order() {
        let body = body(&[(r#"name="n""#, "2"), (r#"name="file"; filename="../../x.png""#, "bytes")], "--b--\r\n");
        let parts = parts(&headers("multipart/form-data; boundary=b"), body).await.unwrap();
        assert_eq!(parts[0], FormPart { name: "n".into(), filename: None, bytes: Bytes::from_static(b"2") });
        assert_eq!(parts[1].filename.as_deref(), Some("../../x.png"));
        assert_eq!(parts[1].bytes, "bytes");
    }

    #[tokio::test]
    async fn broken_bodies_are_refused() {
        let good = "multipart/form-data; boundary=b";
        let one = [(r#"name="n""#, "2")];
        for (content_type, body, expected) in [
            ("application/json", body(&one, "--b--"), "Content-Type"),
            ("multipart/form-data", body(&one, "--b--"), "Content-Type"),
            (&format!("multipart/form-data; boundary={}", "b".repeat(5000)), body(&one, "--b--"), "Content-Type"),
            (good, body(&one, ""), "malformed"),
            (good, Bytes::from_static(b"no boundary at all"), "malformed"),
            (good, body(&[("filename=\"x\"", "")], "--b--"), "no name"),
            (good, body(&[(r#"name="n""#, "2"); PARTS + 1], "--b--"), "more than"),
            (good, body(&vec![(r#"name="x""#, ""); ALL_PARTS + 1], "--b--"), "more than"),
        ] {
            let error = parts(&headers(content_type), body).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{content_type}: {error}");
        }
    }

    #[tokio::test]
    async fn unknown_parts_are_passed_over() {
        let long = format!("name=\"{}\"", "n".repeat(100_000));
        let mut all = vec![(r#"name="thumbnail"; filename="t.bin""#, "\0\u{1}"); PARTS + 1];
        all.extend([(long.as_str(), "x"), (r#"name="n""#, "2")]);
        let found = parts(&headers("multipart/form-data; boundary=b"), body(&all, "--b--\r\n")).await.unwrap();
        assert_eq!(found, [FormPart { name: "n".into(), filename: None, bytes: Bytes::from_static(b"2") }]);
    }

    #[tokio::test]
    async fn what_follows_the_last_boundary_is_ignored() {
        let body = body(&[(r#"name="n""#, "2")], "--b--\r\ntrailing junk");
        assert_eq!(parts(&headers("multipart/form-data; boundary=b"), body).await.unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, content_type in "multipart/form-data; ?boundary=.{0,80}|.{0,40}") {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let Ok(value) = content_type.parse() else { return Ok(()) };
            let headers: HeaderMap = [(header::CONTENT_TYPE, value)].into_iter().collect();
            let _ = runtime.block_on(parts(&headers, Bytes::from(bytes)));
        }
    }
}
