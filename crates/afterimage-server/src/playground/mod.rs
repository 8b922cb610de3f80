//! The playground: a page that makes variations in a browser, through the same API that programs use; and a page for
//! operators, who see how the server is.
//!
//! `built/` is made from the folder `playground` at the repository's root, and committed, so that building the server needs
//! no Node.js; a step of continuous integration compares the two.

use crate::http::Asset;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;

static INDEX: Asset = Asset::new("text/html; charset=utf-8", include_bytes!("built/index.html"));
static STATUS: Asset = Asset::new("text/html; charset=utf-8", include_bytes!("built/status.html"));

/// Paths and files of what the pages load.
static FILES: [(&str, Asset); 8] = [
    ("/playground.js", Asset::new("text/javascript; charset=utf-8", include_bytes!("built/playground.js"))),
    ("/brush.js", Asset::new("text/javascript; charset=utf-8", include_bytes!("built/brush.js"))),
    ("/code.js", Asset::new("text/javascript; charset=utf-8", include_bytes!("built/code.js"))),
    ("/zh.js", Asset::new("text/javascript; charset=utf-8", include_bytes!("built/zh.js"))),
    ("/playground.css", Asset::new("text/css; charset=utf-8", include_bytes!("built/playground.css"))),
    ("/status.js", Asset::new("text/javascript; charset=utf-8", include_bytes!("built/status.js"))),
    ("/status.css", Asset::new("text/css; charset=utf-8", include_bytes!("built/status.css"))),
    ("/icon.svg", Asset::new("image/svg+xml", include_bytes!("built/icon.svg"))),
];

/// `/` and its files.
pub fn router() -> Router {
    let page = Router::new().route("/", get(|headers: HeaderMap| async move { INDEX.respond_as_page(&headers) }));
    FILES.iter().fold(page, |router, (path, asset)| {
        router.route(path, get(move |headers: HeaderMap| async move { asset.respond(&headers) }))
    })
}

/// Answers a browser that is to show `/status` with the page; programs get the same path as JSON.
pub async fn status_page(request: Request, next: Next) -> Response {
    if request.uri().path() != "/status" || !is_to_be_shown(request.method(), request.headers()) {
        return next.run(request).await;
    }
    let mut response = STATUS.respond_as_page(request.headers());
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept, authorization"));
    response
}

/// Whether a request is a browser's that goes to an address: those of programs bring a key, and do not prefer HTML.
fn is_to_be_shown(method: &Method, headers: &HeaderMap) -> bool {
    let takes_html = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("text/html"));
    takes_html && !headers.contains_key(header::AUTHORIZATION) && matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_from_programs() {
        let shown = |accept: &str, key: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            if let Some(key) = key {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_str(key).unwrap());
            }
            is_to_be_shown(&Method::GET, &headers)
        };
        assert!(shown("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", None));
        for accept in ["*/*", "application/json", "text/*", ""] {
            assert!(!shown(accept, None), "{accept}");
        }
        assert!(!shown("text/html", Some("Bearer KEY")), "a program with a library that says what browsers say");
        assert!(!is_to_be_shown(&Method::POST, &HeaderMap::new()));
    }
}
