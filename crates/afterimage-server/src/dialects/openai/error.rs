//! This dialect's errors: OpenAI's envelope, and the shapes of DeepInfra's native route.

use crate::dialects::FieldProblem;
use crate::error_shape::ErrorShape;
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use crate::submit::FieldName;
use afterimage_core::Field;
use afterimage_jobs::{Failure, FailureKind, Job, JobState};
use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Tells the SDKs whether to repeat a request; without it they repeat every 408, 409, 429 and 5xx, and so would pay for
/// a generation that fails three times.
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Type and code of a refusal because the key has used up what it may.
const INSUFFICIENT_QUOTA: &str = "insufficient_quota";

/// Code of what a safety checker objects to.
const MODERATION_BLOCKED: &str = "moderation_blocked";

/// How the service begins to say that; what follows is ours.
const REJECTED: &str = "Your request was rejected by the safety system.";

/// When to repeat a request that came while the server stops: it may be up again by then.
const RETRY_AFTER_SECONDS: &str = "5";

/// Body of every refused request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiError)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorFacts,
}

/// What is wrong. All keys are always there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiErrorFacts)]
pub struct ErrorFacts {
    /// The field, what is wrong with it, and what would be right.
    pub message: String,
    /// `invalid_request_error`, `image_generation_user_error`, `rate_limit_exceeded`, `insufficient_quota` or
    /// `server_error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The field.
    pub param: Option<String>,
    /// Category.
    pub code: Option<&'static str>,
}

/// Body of a request that the native route refused: one of the two.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = DeepInfraError)]
pub struct NativeErrorBody {
    /// A key or fields that cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<NativeDetail>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is wrong with the key or with fields.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = DeepInfraErrorDetail)]
pub enum NativeDetail {
    /// The key.
    Key {
        /// What is wrong with it.
        error: String,
    },
    /// Fields.
    Fields(Vec<FieldProblem>),
}

/// An error before it has a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The status on OpenAI's routes.
    pub status: StatusCode,
    /// What is wrong.
    pub message: String,
    /// The field.
    pub param: Option<String>,
    /// Category.
    pub code: Option<&'static str>,
    /// Whether the same request may succeed later.
    pub retry: bool,
}

impl Failed {
    /// An error about the request as a whole that repeating does not mend.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, retry: false }
    }

    /// Every picture of a result was flagged and is withheld.
    pub fn withheld() -> Self {
        Self::moderated(None, "Every picture that was made was flagged and is withheld.")
    }

    /// What a safety checker objects to: the request's `param`, or its result.
    fn moderated(param: Option<&str>, what: &str) -> Self {
        let message = format!("{REJECTED} {what}");
        let param = param.map(str::to_owned);
        Self { param, code: Some(MODERATION_BLOCKED), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// Why `job` has no result, or `None` when it has one or has not ended. `name` translates the core's names of
    /// fields.
    pub fn of_job(job: &Job, name: FieldName) -> Option<Self> {
        match (job.state, &job.failure) {
            (JobState::Cancelled, _) => Some(Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the request was cancelled")),
            (JobState::Failed, Some(failure)) => Some(Self::of_failure(failure, name)),
            (JobState::Failed, None) => Some(Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")),
            _ => None,
        }
    }

    fn of_failure(failure: &Failure, name: FieldName) -> Self {
        let status = match failure.kind {
            FailureKind::ContentRejected => {
                let param = name(failure.field.unwrap_or(Field::Image));
                return Self::moderated(Some(param), "The picture that was sent was flagged.");
            }
            FailureKind::BadInput | FailureKind::SourceUnavailable => StatusCode::BAD_REQUEST,
            FailureKind::StartTimeout => StatusCode::GATEWAY_TIMEOUT,
            FailureKind::Engine
            | FailureKind::Model
            | FailureKind::SafetyChecker
            | FailureKind::Crashed
            | FailureKind::Storage
            | FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // Only the picture can turn out to be unusable after the request was checked.
        let field = failure.field.or((status == StatusCode::BAD_REQUEST).then_some(Field::Image));
        let param = field.map(|field| name(field).to_owned());
        Self { param, ..Self::new(status, failure.message.clone()) }
    }

    /// `refusal` in this dialect.
    pub fn from_refusal(refusal: &Refusal) -> Self {
        let status = match refusal {
            // This service's own answer to it, with `x-should-retry: false`.
            Refusal::OverQuota { .. } => StatusCode::TOO_MANY_REQUESTS,
            _ => refusal.status(),
        };
        let (message, param, code) = match refusal {
            Refusal::Field(problem) => {
                (problem.message.clone(), Some(problem.field.clone()), Some(problem_code(problem.kind)))
            }
            Refusal::Unauthorized(_) => (refusal.to_string(), None, Some("invalid_api_key")),
            Refusal::TooManyWrongKeys => (refusal.to_string(), None, Some("rate_limit_exceeded")),
            Refusal::OverQuota { .. } => (refusal.to_string(), None, Some(INSUFFICIENT_QUOTA)),
            _ => (refusal.to_string(), None, None),
        };
        let passes = code != Some(INSUFFICIENT_QUOTA);
        let retry = passes
            && [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE]
                .contains(&status);
        Self { status, message, param, code, retry }
    }

    fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            429 if self.code == Some(INSUFFICIENT_QUOTA) => INSUFFICIENT_QUOTA,
            429 => "rate_limit_exceeded",
            500.. => "server_error",
            _ if self.code == Some(MODERATION_BLOCKED) => "image_generation_user_error",
            _ => "invalid_request_error",
        }
    }

    /// What OpenAI's envelope says.
    pub fn facts(self) -> ErrorFacts {
        let (kind, code) = (self.kind(), self.code);
        // The service names no parameter where its safety system objects.
        let param = self.param.filter(|_| code != Some(MODERATION_BLOCKED));
        let message = match &param {
            Some(param) => format!("{param}: {}", self.message),
            None => self.message,
        };
        ErrorFacts { message, kind, param, code }
    }

    /// In OpenAI's envelope.
    fn enveloped(self) -> Response {
        let (status, retry) = (self.status, self.retry);
        with_retry(retry, (status, Json(ErrorBody { error: self.facts() })).into_response())
    }

    /// In the native route's shape.
    fn native(self) -> Response {
        let retry = self.retry;
        let (status, body) = match self.status {
            StatusCode::UNAUTHORIZED => {
                let detail = NativeDetail::Key { error: self.message };
                (self.status, NativeErrorBody { detail: Some(detail), error: None })
            }
            StatusCode::BAD_REQUEST => {
                let kind = match self.code {
                    Some("missing_required_parameter") => "missing",
                    Some("invalid_type") => "type_error",
                    _ => "value_error",
                };
                let problem = FieldProblem::new("body", self.param.as_deref(), kind, self.message);
                let detail = NativeDetail::Fields(vec![problem]);
                (StatusCode::UNPROCESSABLE_ENTITY, NativeErrorBody { detail: Some(detail), error: None })
            }
            status => (status, NativeErrorBody { detail: None, error: Some(self.message) }),
        };
        with_retry(retry, (status, Json(body)).into_response())
    }
}

const fn problem_code(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Missing => "missing_required_parameter",
        ProblemKind::WrongType => "invalid_type",
        _ => "invalid_value",
    }
}

fn with_retry(retry: bool, mut response: Response) -> Response {
    let value = HeaderValue::from_static(if retry { "true" } else { "false" });
    response.headers_mut().insert(SHOULD_RETRY, value);
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// OpenAI's envelope.
pub struct Shape;

impl ErrorShape for Shape {
    fn respond(refusal: &Refusal) -> Response {
        let mut response = Failed::from_refusal(refusal).enveloped();
        refusal.add_headers(&mut response);
        response
    }
}

/// The shapes of DeepInfra's native route.
pub struct NativeShape;

impl ErrorShape for NativeShape {
    fn respond(refusal: &Refusal) -> Response {
        let mut response = Failed::from_refusal(refusal).native();
        refusal.add_headers(&mut response);
        response
    }
}

/// Why a handler of this dialect has no result to give.
#[derive(Debug)]
pub enum HandlerError {
    /// For a reason that all dialects share.
    Refusal(Refusal),
    /// For one of this dialect's own.
    Failed(Failed),
}

impl HandlerError {
    /// In the native route's shape.
    pub fn native(self) -> Response {
        match self {
            Self::Refusal(refusal) => NativeShape::respond(&refusal),
            Self::Failed(failed) => failed.native(),
        }
    }
}

impl From<Refusal> for HandlerError {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Problem> for HandlerError {
    fn from(problem: Problem) -> Self {
        Self::Refusal(problem.into())
    }
}

impl From<Failed> for HandlerError {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl From<HandlerError> for Failed {
    fn from(error: HandlerError) -> Self {
        match error {
            HandlerError::Refusal(refusal) => Self::from_refusal(&refusal),
            HandlerError::Failed(failed) => failed,
        }
    }
}

/// In OpenAI's envelope.
impl IntoResponse for HandlerError {
    fn into_response(self) -> Response {
        match self {
            Self::Refusal(refusal) => Shape::respond(&refusal),
            Self::Failed(failed) => failed.enveloped(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::testing::failed_job;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    async fn shown(response: Response) -> (u16, String, Value) {
        let status = response.status().as_u16();
        let retry = response.headers()[SHOULD_RETRY].to_str().unwrap().to_owned();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, retry, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn every_refusal_has_all_four_keys_and_says_whether_to_repeat() {
        for (refusal, status, retry, kind, code) in [
            (Refusal::Unauthorized("no key"), 401, "false", "invalid_request_error", json!("invalid_api_key")),
            (Refusal::TooManyWrongKeys, 429, "true", "rate_limit_exceeded", json!("rate_limit_exceeded")),
            (Refusal::BadBody("x".into()), 400, "false", "invalid_request_error", Value::Null),
            (Refusal::TooSlow, 408, "true", "invalid_request_error", Value::Null),
            (Refusal::TooLarge(1), 413, "false", "invalid_request_error", Value::Null),
            (Refusal::NotFound("x".into()), 404, "false", "invalid_request_error", Value::Null),
            (Refusal::MethodNotAllowed, 405, "false", "invalid_request_error", Value::Null),
            (Refusal::IdempotencyConflict, 422, "false", "invalid_request_error", Value::Null),
            (Refusal::Unavailable, 503, "true", "server_error", Value::Null),
            (Refusal::Internal, 500, "false", "server_error", Value::Null),
        ] {
            let expected = json!({
                "error": {"message": refusal.to_string(), "type": kind, "param": null, "code": code},
            });
            assert_eq!(shown(Shape::respond(&refusal)).await, (status, retry.to_owned(), expected));
        }
    }

    #[tokio::test]
    async fn fields_are_named_in_both_shapes() {
        let refusal = || Refusal::from(Problem::new("n", ProblemKind::WrongType, "is a text"));
        let (status, _, body) = shown(Shape::respond(&refusal())).await;
        assert_eq!(status, 400);
        assert_eq!(
            body["error"],
            json!({"message": "n: is a text", "type": "invalid_request_error", "param": "n", "code": "invalid_type"})
        );
        let (status, _, body) = shown(NativeShape::respond(&refusal())).await;
        assert_eq!(status, 422);
        assert_eq!(body, json!({"detail": [{"loc": ["body", "n"], "msg": "is a text", "type": "type_error"}]}));
        let failed = Failed { param: Some("model".to_owned()), ..Failed::new(StatusCode::NOT_FOUND, "no such model") };
        let (status, _, body) = shown(HandlerError::from(failed).native()).await;
        assert_eq!((status, body), (404, json!({"error": "no such model"})));
        let (status, _, body) = shown(NativeShape::respond(&Refusal::Unauthorized("no key"))).await;
        assert_eq!((status, body), (401, json!({"detail": {"error": "no key"}})));
    }

    #[tokio::test]
    async fn what_checkers_object_to_names_no_parameter_but_in_the_native_form() {
        let error = |what: &str| {
            let message = format!("{REJECTED} {what}");
            json!({"error": {
                "message": message, "type": "image_generation_user_error", "param": null, "code": "moderation_blocked",
            }})
        };
        let job = failed_job(FailureKind::ContentRejected);
        let sent = || Failed::of_job(&job, |_| "image").unwrap();
        let what = "The picture that was sent was flagged.";
        assert_eq!(shown(sent().enveloped()).await, (400, "false".to_owned(), error(what)));
        let (status, retry, body) = shown(sent().native()).await;
        assert_eq!((status, retry.as_str()), (422, "false"));
        assert_eq!(
            body,
            json!({"detail": [{"loc": ["body", "image"], "msg": format!("{REJECTED} {what}"), "type": "value_error"}]})
        );
        let what = "Every picture that was made was flagged and is withheld.";
        assert_eq!(shown(Failed::withheld().enveloped()).await, (400, "false".to_owned(), error(what)));

        let broken = Failed::of_job(&failed_job(FailureKind::SafetyChecker), |_| "image").unwrap();
        let (status, retry, body) = shown(broken.enveloped()).await;
        assert_eq!((status, retry.as_str(), &body["error"]["type"]), (500, "false", &json!("server_error")));
    }
}
