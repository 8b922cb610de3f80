//! Files that are part of the program, as browsers get them.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::OnceLock;

/// What a page of ours may load: scripts and styles only from files of ours, nothing inline; pictures also from memory, and a camera's stream. The key in
/// the address's fragment never leaves the browser except as a header to this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// A file that is part of the program.
pub struct Asset {
    content_type: &'static str,
    bytes: &'static [u8],
    served: OnceLock<Served>,
}

/// What is made of it when it is first asked for.
struct Served {
    /// In quotes, of the content: it changes with the program only.
    tag: HeaderValue,
    gzip: Bytes,
}

impl Asset {
    /// `bytes` of the type `content_type`.
    pub const fn new(content_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { content_type, bytes, served: OnceLock::new() }
    }

    /// The answer to a request with the headers `request`: packed where the browser takes that, and without a body where it
    /// has the file already. Browsers ask every time, so that a page and its script are always of one version.
    pub fn respond(&'static self, request: &HeaderMap) -> Response {
        let served = self.served.get_or_init(|| Served::of(self.bytes));
        let known = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let is_known = known.is_some_and(|tags| {
            let mut tags = tags.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
            served.tag.to_str().is_ok_and(|own| tags.any(|tag| tag == own))
        });
        let is_packed = takes_gzip(request) && !served.gzip.is_empty();
        let (status, body) = match (is_known, is_packed) {
            (true, _) => (StatusCode::NOT_MODIFIED, Body::empty()),
            (false, true) => (StatusCode::OK, Body::from(served.gzip.clone())),
            (false, false) => (StatusCode::OK, Body::from(self.bytes)),
        };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::ETAG, served.tag.clone());
        if is_packed && !is_known {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    /// The same for an HTML page, which may load files of ours only and may not be framed.
    pub fn respond_as_page(&'static self, request: &HeaderMap) -> Response {
        let mut response = self.respond(request);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        response.headers_mut().insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        response
    }
}

impl Served {
    fn of(bytes: &[u8]) -> Self {
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..12]));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing into memory does not fail; if it did, the file would be sent as it is.
        let gzip = encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { tag: HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")), gzip: gzip.into() }
    }
}

/// Whether `Accept-Encoding` of `request` names gzip, and not to refuse it.
fn takes_gzip(request: &HeaderMap) -> bool {
    let named = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        is_gzip && weight.is_ok_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use flate2::read::GzDecoder;
    use std::io::Read;

    static TEXT: Asset = Asset::new("text/css; charset=utf-8", b"body { margin: 0; margin: 0; margin: 0; margin: 0; }");

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    async fn body(response: Response) -> Bytes {
        to_bytes(response.into_body(), 10_000).await.unwrap()
    }

    #[tokio::test]
    async fn it_is_packed_only_for_who_takes_that() {
        for (accepted, is_packed) in [
            ("", false),
            ("identity", false),
            ("br, deflate", false),
            ("gzip;q=0, identity", false),
            ("gzip;q=x", false),
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
        ] {
            let response = TEXT.respond(&headers(&[(header::ACCEPT_ENCODING, accepted)]));
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), is_packed, "{accepted}");
            let sent = body(response).await;
            let mut text = Vec::new();
            if is_packed {
                GzDecoder::new(&sent[..]).read_to_end(&mut text).unwrap();
            } else {
                text = sent.to_vec();
            }
            assert_eq!(text, TEXT.bytes, "{accepted}");
        }
    }

    #[tokio::test]
    async fn what_a_browser_has_is_not_sent_again() {
        let tag = TEXT.respond(&HeaderMap::new()).headers()[header::ETAG].to_str().unwrap().to_owned();
        for (known, is_sent) in [
            (tag.clone(), false),
            (format!("W/{tag}"), false),
            (format!("\"other\", {tag}"), false),
            ("\"other\"".to_owned(), true),
            (tag.replace('"', ""), true),
        ] {
            let request = [(header::IF_NONE_MATCH, HeaderValue::try_from(&known).unwrap())].into_iter().collect();
            let response = TEXT.respond(&request);
            assert_eq!(response.status() == StatusCode::OK, is_sent, "{known}");
            assert_eq!(response.headers()[header::ETAG], tag.as_str());
            assert_eq!(body(response).await.is_empty(), !is_sent, "{known}");
        }
    }
}
