//! Whether the process is up, and whether a job would be stored and run.

use super::readiness::Readiness;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

/// `GET /healthz`: 200 while the process answers.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, description = "The process is up")))]
pub async fn healthz() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// `GET /readyz`: 200 when the database can be written, the disk has room and an engine process can take a job, else 503
/// with the reason.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "A job that is submitted now is stored and run"),
    (status = 503, description = "The database or its disk cannot take a job, or no worker can")
))]
pub async fn readyz(State(readiness): State<Arc<Readiness>>) -> Response {
    let Some(problem) = readiness.problem().await else {
        return Json(json!({"status": "ready"})).into_response();
    };
    let body = Json(json!({"status": "not ready", "reason": problem}));
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}
