//! The API's own documentation: `/openapi.json`, made from the code, and a page that shows it.

mod openapi;

use crate::http::Asset;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
pub use openapi::document;

static PAGE: Asset = Asset::new("text/html; charset=utf-8", include_bytes!("docs.html"));
static SCRIPT: Asset = Asset::new("text/javascript; charset=utf-8", include_bytes!("docs.js"));
static STYLE: Asset = Asset::new("text/css; charset=utf-8", include_bytes!("docs.css"));

/// `/openapi.json` and `/docs`.
pub fn router() -> Router {
    Router::new()
        .route("/openapi.json", get(|| async { Json(document()) }))
        .route("/docs", get(|headers: HeaderMap| async move { PAGE.respond_as_page(&headers) }))
        .route("/docs.js", get(|headers: HeaderMap| async move { SCRIPT.respond(&headers) }))
        .route("/docs.css", get(|headers: HeaderMap| async move { STYLE.respond(&headers) }))
}
