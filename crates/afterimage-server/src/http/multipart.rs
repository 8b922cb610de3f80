//! Multipart bodies: fields in any order, every part bounded.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;

/// Parts that one body may have.
const PARTS: usize = 64;

/// Bytes of a boundary (RFC 2046 allows 70).
const BOUNDARY: usize = 70;

/// Bytes of a field's name. Error messages repeat names.
const NAME: usize = 256;

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
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
    #[error("the multipart body has more than {PARTS} parts")]
    TooManyParts,
    /// A part without a name.
    #[error("a part of the multipart body has no name")]
    Unnamed,
    /// A part with an overlong name.
    #[error("a part of the multipart body has a name of more than {NAME} bytes")]
    LongName,
}

/// Takes `body` apart. Declared types of parts are not looked at: what a file is, its content says.
///
/// # Errors
/// [`MultipartError`].
pub async fn parts(headers: &HeaderMap, body: Bytes) -> Result<Vec<Part>, MultipartError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| MultipartError::ContentType)?;
    if boundary.is_empty() || boundary.len() > BOUNDARY {
        return Err(MultipartError::ContentType);
    }
    let malformed = |error: multer::Error| MultipartError::Malformed(error.to_string());
    let mut multipart = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    let mut parts = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(malformed)? {
        if parts.len() == PARTS {
            return Err(MultipartError::TooManyParts);
        }
        let name = field.name().ok_or(MultipartError::Unnamed)?.to_owned();
        if name.len() > NAME {
            return Err(MultipartError::LongName);
        }
        let filename = field.file_name().map(str::to_owned);
        parts.push(Part { name, filename, bytes: field.bytes().await.map_err(malformed)? });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

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
        assert_eq!(parts[0], Part { name: "n".into(), filename: None, bytes: Bytes::from_static(b"2") });
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
            (good, body(&[(&format!("name=\"{}\"", "n".repeat(NAME + 1)), "2")], "--b--"), "a name of more than"),
        ] {
            let error = parts(&headers(content_type), body).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{content_type}: {error}");
        }
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
