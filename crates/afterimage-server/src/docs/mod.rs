//! The API's own documentation: `/openapi.json`, made from the code, and a page that shows it.

mod openapi;

use crate::playground::{asset, page};
use axum::routing::get;
use axum::{Json, Router};
pub use openapi::document;

/// `/openapi.json` and `/docs`.
pub fn router() -> Router {
    Router::new()
        .route("/openapi.json", get(|| async { Json(document()) }))
        .route("/docs", get(|| async { page(include_str!("docs.html")) }))
        .route("/docs.js", get(|| async { asset("text/javascript; charset=utf-8", include_str!("docs.js")) }))
}
