//! All routes of the public listener.

use crate::app::App;
use crate::dialects::{fal, openai, wavespeed};
use crate::http::layers;
use crate::operations::{health, metrics};
use crate::refusal::Refusal;
use crate::{docs, files, playground};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::json;
use std::sync::Arc;

/// Everything under one address. Paths of the dialects do not collide.
pub fn router(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).with_state(Arc::clone(app)))
        .merge(docs::router())
        .merge(playground::router())
        .nest("/media", files::router(Arc::clone(app)))
        .nest("/api/v3", wavespeed::router(app))
        .nest("/api/v2", wavespeed::router(app))
        .nest("/v1", openai::router(app))
        .merge(fal::router(app))
        .fallback(|request: Request| async move { unknown(&request) })
        .method_not_allowed_fallback(|| async { neutral(&Refusal::MethodNotAllowed) })
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app.metrics), metrics::measure));
    layers::wrap(routes)
}

fn unknown(request: &Request) -> Response {
    neutral(&Refusal::NotFound(format!("no such path: {}", request.uri().path())))
}

/// An error for paths that belong to no dialect, with the keys that clients of all of them look for.
pub fn neutral(refusal: &Refusal) -> Response {
    let (status, message) = (refusal.status(), refusal.to_string());
    let body = json!({
        "code": status.as_u16(),
        "message": message,
        "detail": message,
        "error": {"message": message, "type": "invalid_request_error", "param": null, "code": null},
    });
    let mut response = (status, Json(body)).into_response();
    refusal.add_headers(&mut response);
    response
}
