//! The playground: a page that makes variations in a browser, through the same API that programs use.
//!
//! `built/` is made from the folder `playground` at the repository's root, and committed, so that building the server needs
//! no Node.js; a step of continuous integration compares the two.

use crate::http::Asset;
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;

static INDEX: Asset = Asset::new("text/html; charset=utf-8", include_bytes!("built/index.html"));

/// Paths and files of what the page loads.
static FILES: [(&str, Asset); 3] = [
    ("/playground.js", Asset::new("text/javascript; charset=utf-8", include_bytes!("built/playground.js"))),
    ("/playground.css", Asset::new("text/css; charset=utf-8", include_bytes!("built/playground.css"))),
    ("/icon.svg", Asset::new("image/svg+xml", include_bytes!("built/icon.svg"))),
];

/// `/` and its files.
pub fn router() -> Router {
    let page = Router::new().route("/", get(|headers: HeaderMap| async move { INDEX.respond_as_page(&headers) }));
    FILES.iter().fold(page, |router, (path, asset)| {
        router.route(path, get(move |headers: HeaderMap| async move { asset.respond(&headers) }))
    })
}
