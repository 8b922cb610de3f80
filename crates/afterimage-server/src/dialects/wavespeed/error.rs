//! This dialect's error shape: `{"code", "message"}`, the code being the HTTP status.

use crate::error_shape::{ErrorShape, ShapedRefusal};
use crate::refusal::Refusal;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Body of every refused request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"code": 400, "message": "size: 99999x256 is out of range; expected WIDTH*HEIGHT with 256 to 1536 pixels per side, such as 1024*768"}))]
pub struct ErrorBody {
    /// The HTTP status.
    pub code: u16,
    /// The field, what is wrong with it, and what would be right.
    pub message: String,
    /// The message once more, where the service documents a third key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The reason of a 403, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<&'static str>,
}

/// This dialect's errors.
pub struct Shape;

impl ErrorShape for Shape {
    fn respond(refusal: &Refusal) -> Response {
        let status = refusal.status();
        let error_code = matches!(refusal, Refusal::OverQuota { .. }).then_some("storage_quota_exceeded");
        let body = ErrorBody { code: status.as_u16(), message: refusal.to_string(), error: None, error_code };
        let mut response = (status, Json(body)).into_response();
        refusal.add_headers(&mut response);
        response
    }
}

/// What a handler of this dialect returns.
pub type Answer<T = Response> = Result<T, ShapedRefusal<Shape>>;
