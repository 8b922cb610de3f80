//! The playground: one page that makes variations in a browser, through the same API that programs use.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Scripts and styles only from files of ours, nothing inline; pictures also from memory. The key in the address's
/// fragment never leaves the browser except as a header to this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// `/` and its files.
pub fn router() -> Router {
    Router::new()
        .route("/", get(|| async { page(include_str!("index.html")) }))
        .route(
            "/playground.js",
            get(|| async { asset("text/javascript; charset=utf-8", include_str!("playground.js")) }),
        )
        .route("/playground.css", get(|| async { asset("text/css; charset=utf-8", include_str!("playground.css")) }))
}

/// An HTML page of ours.
pub fn page(html: &'static str) -> Response {
    let mut response = asset("text/html; charset=utf-8", html);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.headers_mut().insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// A file of ours.
pub fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}
