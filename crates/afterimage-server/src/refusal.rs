//! Why a request is not served, independent of the dialect that says so.

use crate::http::{BodyError, KNOWN_CODINGS};
use crate::problem::Problem;
use afterimage_core::bounded;
use afterimage_jobs::{Error as StoreError, KeyId};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

/// Every reason a request can be refused for. Dialects turn it into their own error shape; the status and the text
/// are the same in all of them.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No key, or one that is not known.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// Too many wrong keys from one address.
    #[error("too many wrong keys; try again later")]
    TooManyWrongKeys,
    /// A key of another role.
    #[error(
        "only an operator's key may see this, and this one is a user's; `afterimage keys role {0} operator` on the server \
         changes that"
    )]
    NotOperator(KeyId),
    /// A parameter that cannot be used.
    #[error(transparent)]
    Field(#[from] Problem),
    /// A body that is not what the route takes.
    #[error("{}", bounded(.0))]
    BadBody(String),
    /// A body that came too slowly.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// A body for which there is no memory now.
    #[error("too many large bodies are being read; send it again in a moment")]
    Busy,
    /// A body that is packed in a way that is not known.
    #[error("{0}")]
    Coding(String),
    /// More bytes than the route takes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// Nothing under this id or path for this key.
    #[error("{}", bounded(.0))]
    NotFound(String),
    /// It was there, and was deleted.
    #[error("{}", bounded(.0))]
    Gone(String),
    /// The path exists, the method does not.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The idempotency key came with another body before.
    #[error("this idempotency key was used with another request")]
    IdempotencyConflict,
    /// Something outside of the program is not there right now: disk full, database lost.
    #[error("the service is not available at the moment; nothing was stored")]
    Unavailable,
    /// What would run the model failed for good.
    #[error("what runs this model failed, and is not used until the server starts again; nothing was stored")]
    GivenUp,
    /// The disk is so full that what is left belongs to the database and the jobs that run.
    #[error("the server's disk is nearly full; nothing was stored, try again later")]
    DiskFull,
    /// The key keeps as much as it may.
    #[error(
        "this key's files take {stored} of the {quota} bytes that it may keep on this server, and this request does not \
         fit beside them; delete tasks whose results are no longer needed, wait until old ones and uploads expire, or \
         ask the operator for a larger quota"
    )]
    OverQuota {
        /// Bytes that it keeps.
        stored: u64,
        /// Bytes that it may keep.
        quota: u64,
    },
    /// A fault of the program.
    #[error("internal error")]
    Internal,
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::TooManyWrongKeys => StatusCode::TOO_MANY_REQUESTS,
            Self::Field(_) | Self::BadBody(_) => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Coding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Gone(_) => StatusCode::GONE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::IdempotencyConflict => StatusCode::UNPROCESSABLE_ENTITY,
            // No 5xx or 429, which clients repeat at once, nor a 413: the same request passes when there is room.
            Self::OverQuota { .. } | Self::NotOperator(_) => StatusCode::FORBIDDEN,
            Self::Unavailable | Self::GivenUp | Self::DiskFull | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Seconds after which another try makes sense, if it does.
    pub const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Unavailable | Self::Busy => Some(5),
            Self::DiskFull => Some(30),
            Self::TooManyWrongKeys | Self::GivenUp => Some(60),
            _ => None,
        }
    }

    /// Adds the headers that belong to the reason, whatever the dialect.
    pub fn add_headers(&self, response: &mut Response) {
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self, Self::Unauthorized(_)) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(self, Self::Coding(_)) {
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(KNOWN_CODINGS));
        }
        if matches!(self, Self::TooLarge(_) | Self::TooSlow | Self::Busy | Self::Coding(_)) {
            // What is left of the body is not read.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::TooLarge(limit),
            BodyError::TooSlow => Self::TooSlow,
            BodyError::Busy => Self::Busy,
            BodyError::Coding => Self::Coding(error.to_string()),
            BodyError::Damaged | BodyError::Broken => Self::BadBody(error.to_string()),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::IdempotencyConflict { .. } => Self::IdempotencyConflict,
            // Revoked since the request was let in.
            StoreError::UnknownKey { .. } => Self::Unauthorized("unknown key"),
            StoreError::Unavailable { .. } => {
                tracing::error!(%error, "the store is not available");
                Self::Unavailable
            }
            other => {
                tracing::error!(error = %other, "the store failed");
                Self::Internal
            }
        }
    }
}
