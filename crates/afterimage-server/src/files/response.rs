//! A stored file as an answer: streamed, in parts for whoever asks for parts, not at all for whoever has it.
//!
//! RFC 9110: validators (8.8), conditional requests (13) and ranges (14). A file never changes under its path, so its
//! validator is strong and follows from the path.

use crate::refusal::Refusal;
use afterimage_jobs::Blobs;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_range_header::parse_range_header;
use std::ops::Range;

/// The answer with the file of `path`, or with what `request`'s headers ask of it; `None` when there is no file.
///
/// The media type is the one that was found when the file was stored, and nothing in it can become active: no sniffing,
/// no scripts, no framing.
///
/// # Errors
/// [`Refusal::Unavailable`], [`Refusal::Internal`].
pub(super) async fn stored_file(
    blobs: &Blobs,
    request: &HeaderMap,
    path: &str,
    content_type: &str,
) -> Result<Option<Response>, Refusal> {
    let Some(bytes) = blobs.length(path).await? else { return Ok(None) };
    let tag = entity_tag(path)?;
    if is_known(request, &tag) {
        return Ok(Some(with_common_headers(StatusCode::NOT_MODIFIED.into_response(), tag)));
    }
    let wanted = wanted(request, &tag, bytes);
    if let WantedBytes::Nothing = wanted {
        let mut response = with_common_headers(StatusCode::RANGE_NOT_SATISFIABLE.into_response(), tag);
        response.headers_mut().insert(header::CONTENT_RANGE, text(&format!("bytes */{bytes}"))?);
        return Ok(Some(response));
    }
    let range = if let WantedBytes::Part(range) = wanted { Some(range) } else { None };
    let Some(file) = blobs.open(path, range.clone()).await? else { return Ok(None) };
    let (part, whole) = (file.range, file.bytes);
    let mut response = with_common_headers(Body::from_stream(file.stream).into_response(), tag);
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let content_range = format!("bytes {}-{}/{whole}", part.start, part.end.saturating_sub(1));
        response.headers_mut().insert(header::CONTENT_RANGE, text(&content_range)?);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, text(content_type)?);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    Ok(Some(response))
}

/// Hexadecimal digits of an entity tag: 128 bits.
const TAG_DIGITS: usize = 32;

fn entity_tag(path: &str) -> Result<HeaderValue, Refusal> {
    // A digest, since a path is nobody's business.
    let digest = Blobs::sha256(path.as_bytes());
    text(&format!("\"{}\"", &digest[..TAG_DIGITS]))
}

fn with_common_headers(mut response: Response, tag: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600, immutable"));
    response
}

fn text(value: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(value).map_err(|_| Refusal::Internal)
}

/// Whether the client says that it has the file: `If-None-Match` with its tag, by weak comparison, or with `*`.
fn is_known(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    let lists = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|one| {
        let one = one.strip_prefix("W/").unwrap_or(one);
        one == tag || one == "*"
    })
}

/// What of a file a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum WantedBytes {
    Whole,
    Part(Range<u64>),
    /// A part that begins behind the end.
    Nothing,
}

/// Several ranges at once, units other than bytes and headers that cannot be read are answered with the whole file, which
/// RFC 9110 leaves to the server.
fn wanted(request: &HeaderMap, tag: &HeaderValue, bytes: u64) -> WantedBytes {
    let Some(Ok(range)) = request.get(header::RANGE).map(HeaderValue::to_str) else { return WantedBytes::Whole };
    // A part of another file than the client has would be of no use to it.
    if request.get(header::IF_RANGE).is_some_and(|has| has != tag) {
        return WantedBytes::Whole;
    }
    let Ok(parsed) = parse_range_header(range) else { return WantedBytes::Whole };
    match parsed.validate(bytes) {
        Ok(ranges) => match ranges.as_slice() {
            [range] => WantedBytes::Part(*range.start()..*range.end() + 1),
            _ => WantedBytes::Whole,
        },
        Err(_) => WantedBytes::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use proptest::prelude::*;

    const PATH: &str = "results/a/1/b.png";

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    /// Status, `Content-Range`, `Content-Length` and body of the answer about ten bytes.
    async fn answer(pairs: &[(header::HeaderName, &str)]) -> (u16, String, String, Vec<u8>) {
        let blobs = Blobs::memory();
        blobs.put(PATH, (0..10_u8).collect::<Vec<_>>().into()).await.unwrap();
        let response = stored_file(&blobs, &headers(pairs), PATH, "image/png").await.unwrap().unwrap();
        let named = |name: header::HeaderName| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let (range, length) = (named(header::CONTENT_RANGE), named(header::CONTENT_LENGTH));
        assert_eq!(named(header::ACCEPT_RANGES), "bytes");
        assert!(named(header::CONTENT_SECURITY_POLICY).contains("sandbox"));
        let status = response.status().as_u16();
        (status, range, length, to_bytes(response.into_body(), 100).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn a_file_comes_whole_unless_a_part_is_asked_for() {
        let whole: Vec<u8> = (0..10).collect();
        for pairs in [
            &[][..],
            &[(header::RANGE, "bytes=0-1,4-5")],
            &[(header::RANGE, "lines=1-2")],
            &[(header::RANGE, "bytes=3-1")],
            &[(header::RANGE, "bytes=0-3"), (header::IF_RANGE, "\"of another file\"")],
        ] {
            let (status, range, length, body) = answer(pairs).await;
            if status == 416 {
                // A range that runs backwards may be called unusable as well.
                assert_eq!(range, "bytes */10", "{pairs:?}");
                continue;
            }
            assert_eq!((status, range.as_str(), length.as_str(), &body), (200, "", "10", &whole), "{pairs:?}");
        }
        for (range, content_range, expected) in [
            ("bytes=2-4", "bytes 2-4/10", &whole[2..5]),
            ("bytes=7-", "bytes 7-9/10", &whole[7..]),
            ("bytes=-3", "bytes 7-9/10", &whole[7..]),
            ("bytes=9-100", "bytes 9-9/10", &whole[9..]),
        ] {
            let (status, found, length, body) = answer(&[(header::RANGE, range)]).await;
            assert_eq!((status, found.as_str(), body.as_slice()), (206, content_range, expected), "{range}");
            assert_eq!(length, expected.len().to_string());
        }
        let (status, range, _, body) = answer(&[(header::RANGE, "bytes=10-")]).await;
        assert_eq!((status, range.as_str(), body.len()), (416, "bytes */10", 0));
    }

    #[tokio::test]
    async fn who_has_the_file_gets_no_bytes() {
        let tag = entity_tag(PATH).unwrap();
        let tag = tag.to_str().unwrap();
        for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let (status, _, _, body) = answer(&[(header::IF_NONE_MATCH, &known)]).await;
            assert_eq!((status, body.len()), (304, 0), "{known}");
        }
        assert_eq!(answer(&[(header::IF_NONE_MATCH, "\"x\"")]).await.0, 200);
        let part = answer(&[(header::RANGE, "bytes=0-0"), (header::IF_RANGE, tag)]).await;
        assert_eq!((part.0, part.3), (206, vec![0]));
        assert!(stored_file(&Blobs::memory(), &HeaderMap::new(), PATH, "image/png").await.unwrap().is_none());
    }

    proptest! {
        #[test]
        fn no_header_asks_for_more_than_there_is(range in "\\PC{0,40}|bytes=[0-9, -]{0,30}", bytes in 0_u64..50) {
            let Ok(value) = HeaderValue::from_str(&range) else { return Ok(()) };
            let mut request = HeaderMap::new();
            request.insert(header::RANGE, value);
            if let WantedBytes::Part(part) = wanted(&request, &HeaderValue::from_static("x"), bytes) {
                prop_assert!(part.start < part.end && part.end <= bytes, "{range}: {part:?} of {bytes}");
            }
        }
    }
}
