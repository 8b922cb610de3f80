//! All routes of the public listener.

use crate::app::App;
use crate::dialects::{fal, openai, wavespeed};
use crate::http::layers;
use crate::operations::{health, metrics};
use crate::refusal::Refusal;
use crate::{docs, files, playground};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use percent_encoding::percent_decode_str;
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
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app.metrics), metrics::measure))
        .layer(middleware::from_fn(refuse_unreadable));
    layers::wrap(routes)
}

/// A path that is no text names nothing; left to the routes, its refusal would not be in the shape of any client.
async fn refuse_unreadable(request: Request, next: Next) -> Response {
    match percent_decode_str(request.uri().path()).decode_utf8() {
        Ok(_) => next.run(request).await,
        Err(_) => neutral(&Refusal::BadBody("the path is not UTF-8".to_owned())),
    }
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
