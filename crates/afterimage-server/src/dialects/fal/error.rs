//! This dialect's errors: a problem of a field is a list under `detail`, anything else a text with an `error_type`.
//! Each body has a `message` besides, which is what users of the JavaScript client are shown.

use super::models::{WEBHOOK, field_name};
use crate::dialects::FieldProblem;
use crate::error_shape::{ErrorShape, ShapedRefusal};
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_core::Field;
use afterimage_jobs::{Failure, FailureKind, Job, JobState};
use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Repeats [`ErrorBody::error_type`].
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-fal-error-type");

/// Who set the time that ran out; clients do not repeat a request whose own limit it was.
const TIMEOUT_TYPE: HeaderName = HeaderName::from_static("x-fal-request-timeout-type");

/// Whether the same request may succeed later.
const RETRYABLE: HeaderName = HeaderName::from_static("x-fal-retryable");

/// What a request costs.
pub const BILLABLE_UNITS: HeaderName = HeaderName::from_static("x-fal-billable-units");

/// Body of every answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FalError)]
pub struct ErrorBody {
    /// What is wrong.
    pub detail: Detail,
    /// The same as one text.
    pub message: String,
    /// Category of what is no problem of a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
}

/// A text, or problems of fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = FalErrorDetail)]
pub enum Detail {
    /// About the request as a whole.
    Text(String),
    /// About fields.
    Fields(Vec<FieldProblem>),
}

/// An error as it is sent, and as a queued request's result repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body.
    pub body: ErrorBody,
}

impl Failed {
    fn text(status: StatusCode, error_type: Option<&'static str>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, body: ErrorBody { detail: Detail::Text(message.clone()), message, error_type } }
    }

    fn field(field: &str, kind: &'static str, message: &str) -> Self {
        let place = if field == WEBHOOK { "query" } else { "body" };
        let problem = FieldProblem::new(place, Some(field), kind, message);
        let body = ErrorBody {
            detail: Detail::Fields(vec![problem]),
            message: format!("{field}: {message}"),
            error_type: None,
        };
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, body }
    }

    /// `refusal` in this dialect.
    pub fn from_refusal(refusal: &Refusal) -> Self {
        let error_type = match refusal {
            Refusal::Field(problem) => return Self::field(&problem.field, problem_type(problem), &problem.message),
            Refusal::BadBody(_) | Refusal::Coding(_) | Refusal::TooLarge(_) | Refusal::TooSlow => Some("bad_request"),
            Refusal::Unavailable | Refusal::GivenUp | Refusal::DiskFull | Refusal::Busy => {
                Some("runner_scheduling_failure")
            }
            Refusal::Internal => Some("internal_error"),
            _ => None,
        };
        Self::text(refusal.status(), error_type, refusal.to_string())
    }

    /// The time of a synchronous request is over.
    pub fn gateway_timeout(message: String) -> Self {
        Self::text(StatusCode::GATEWAY_TIMEOUT, Some("request_timeout"), message)
    }

    /// A request that cannot be answered yet.
    pub fn not_yet() -> Self {
        Self::text(StatusCode::BAD_REQUEST, Some("bad_request"), "Request is still in progress")
    }

    /// The category, also of problems of fields.
    pub fn error_type(&self) -> &'static str {
        match (&self.body.error_type, &self.body.detail) {
            (Some(error_type), _) => error_type,
            (None, Detail::Fields(problems)) => problems.first().map_or("value_error", |problem| problem.kind),
            (None, Detail::Text(_)) => "internal_error",
        }
    }

    /// Why `job` has no result, or `None` when it has one or has not ended.
    pub fn of_job(job: &Job) -> Option<Self> {
        match (job.state, &job.failure) {
            (JobState::Cancelled, _) => {
                let status = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
                Some(Self::text(status, Some("client_cancelled"), "the request was cancelled"))
            }
            (JobState::Failed, Some(failure)) => Some(Self::of_failure(failure)),
            (JobState::Failed, None) => {
                Some(Self::text(StatusCode::INTERNAL_SERVER_ERROR, Some("internal_error"), "internal error"))
            }
            _ => None,
        }
    }

    fn of_failure(failure: &Failure) -> Self {
        // Only the picture can turn out to be unusable after the request was checked.
        let field = field_name(failure.field.unwrap_or(Field::Image));
        let message = failure.message.as_str();
        match failure.kind {
            FailureKind::BadInput if field == "image_url" => Self::field(field, "image_load_error", message),
            FailureKind::BadInput => Self::field(field, "value_error", message),
            FailureKind::ContentRejected => Self::field(field, "content_policy_violation", message),
            FailureKind::SourceUnavailable => Self::field(field, "file_download_error", message),
            FailureKind::StartTimeout => Self::text(StatusCode::GATEWAY_TIMEOUT, Some("request_timeout"), message),
            FailureKind::Crashed => Self::text(StatusCode::INTERNAL_SERVER_ERROR, Some("runner_server_error"), message),
            FailureKind::Engine
            | FailureKind::Model
            | FailureKind::SafetyChecker
            | FailureKind::Storage
            | FailureKind::Internal => Self::text(StatusCode::INTERNAL_SERVER_ERROR, Some("internal_error"), message),
        }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let error_type = self.body.error_type;
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(BILLABLE_UNITS, HeaderValue::from_static("0"));
        let may_pass = matches!(self.status.as_u16(), 408 | 429 | 500..=503);
        headers.insert(RETRYABLE, HeaderValue::from_static(if may_pass { "true" } else { "false" }));
        if let Some(error_type) = error_type {
            headers.insert(ERROR_TYPE, HeaderValue::from_static(error_type));
        }
        if self.status == StatusCode::GATEWAY_TIMEOUT {
            headers.insert(TIMEOUT_TYPE, HeaderValue::from_static("user"));
        }
        response
    }
}

/// The service's word for what is wrong with a field.
fn problem_type(problem: &Problem) -> &'static str {
    match problem.kind {
        ProblemKind::Missing => "missing",
        ProblemKind::WrongType => "type_error",
        ProblemKind::TooSmall => "greater_than_equal",
        ProblemKind::TooLarge => "less_than_equal",
        ProblemKind::TooLong => "sequence_too_long",
        ProblemKind::NotAnOption => "one_of",
        ProblemKind::Malformed if problem.field == "image_url" => "image_load_error",
        ProblemKind::OutOfRange | ProblemKind::Malformed => "value_error",
    }
}

/// This dialect's errors.
pub struct Shape;

impl ErrorShape for Shape {
    fn respond(refusal: &Refusal) -> Response {
        let mut response = Failed::from_refusal(refusal).into_response();
        refusal.add_headers(&mut response);
        if response.status() == StatusCode::UNAUTHORIZED {
            // The dialect's own scheme comes first; the other one is accepted, too.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Key, Bearer"));
        }
        response
    }
}

/// What a handler of this dialect returns.
pub type Answer<T = Response> = Result<T, ShapedRefusal<Shape>>;
