//! How far a queued request is.

use super::error::Failed;
use super::output::seconds;
use super::path::app_of;
use crate::dialects::rfc3339_with_offset;
use crate::follow::Follower;
use crate::refusal::Refusal;
use afterimage_core::Stage;
use afterimage_jobs::progress::{Event, Noted};
use afterimage_jobs::{Job, JobState, Store};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// Answer to a submit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalTicket)]
pub struct QueuedRequest {
    /// `IN_QUEUE`.
    pub status: &'static str,
    /// Id of the request.
    pub request_id: String,
    /// The same; nothing stands before this server.
    pub gateway_request_id: String,
    /// Requests before it.
    pub queue_position: u64,
    /// Where its result will be.
    pub response_url: String,
    /// Where its status is.
    pub status_url: String,
    /// Where to cancel it.
    pub cancel_url: String,
}

/// A request's status.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = FalStatus)]
pub struct Status {
    /// `IN_QUEUE`, `IN_PROGRESS` or `COMPLETED`. There is no other: a failed request is completed, too.
    pub status: &'static str,
    /// Id of the request.
    pub request_id: String,
    /// Requests before it, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u64>,
    /// What happened so far; null unless asked for.
    pub logs: Option<Vec<Log>>,
    /// Where its result is.
    pub response_url: String,
    /// Where its status is.
    pub status_url: String,
    /// Where to cancel it.
    pub cancel_url: String,
    /// Times, when it is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<RequestMetrics>,
    /// Why it has no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Category of `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
}

/// A line of a request's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FalLog)]
pub struct Log {
    /// The line.
    pub message: String,
    /// `INFO`.
    pub level: &'static str,
    /// `USER`.
    pub source: &'static str,
    /// RFC 3339.
    pub timestamp: String,
}

/// Times of a completed request.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = FalMetrics)]
pub struct RequestMetrics {
    /// Seconds the models took.
    pub inference_time: f64,
}

/// Addresses of `job` under `base`: result, status, cancelling.
fn addresses(job: &Job, base: &str) -> (String, String, String) {
    let response = format!("{base}/queue/{}/requests/{}", app_of(&job.model), job.id);
    (response.clone(), format!("{response}/status"), format!("{response}/cancel"))
}

impl QueuedRequest {
    /// The ticket of `job`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of(store: &dyn Store, job: &Job, base: &str) -> Result<Self, Refusal> {
        let (response_url, status_url, cancel_url) = addresses(job, base);
        let request_id = job.id.to_string();
        Ok(Self {
            status: "IN_QUEUE",
            gateway_request_id: request_id.clone(),
            request_id,
            queue_position: store.position(&job.id).await?.unwrap_or(0),
            response_url,
            status_url,
            cancel_url,
        })
    }
}

impl Status {
    /// The status of `job`, with `history` as its log.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of(follower: &Follower, job: &Job, base: &str, history: Option<Vec<Noted>>) -> Result<Self, Refusal> {
        let (response_url, status_url, cancel_url) = addresses(job, base);
        let failed = Failed::of_job(job);
        Ok(Self {
            status: match job.state {
                JobState::Queued => "IN_QUEUE",
                JobState::Running => "IN_PROGRESS",
                JobState::Succeeded | JobState::Failed | JobState::Cancelled => "COMPLETED",
            },
            request_id: job.id.to_string(),
            queue_position: match job.state {
                JobState::Queued => Some(follower.store.position(&job.id).await?.unwrap_or(0)),
                _ => None,
            },
            logs: history.map(|history| history.iter().map(log).collect()),
            response_url,
            status_url,
            cancel_url,
            metrics: job.state.is_terminal().then(|| RequestMetrics {
                inference_time: job.result.as_ref().map_or(0.0, |result| seconds(result.inference_ms())),
            }),
            error: failed.as_ref().map(|failed| failed.body.message.clone()),
            error_type: failed.map(|failed| failed.error_type().to_owned()),
        })
    }

    /// Whether this is the last status there will be.
    pub fn is_completed(&self) -> bool {
        self.status == "COMPLETED"
    }

    /// The HTTP status that goes with it.
    pub fn http_status(&self) -> StatusCode {
        if self.is_completed() { StatusCode::OK } else { StatusCode::ACCEPTED }
    }
}

fn log(noted: &Noted) -> Log {
    let message = match &noted.event {
        Event::Stage(Stage::Load) => "loading models".to_owned(),
        Event::Stage(Stage::ImageEncode) => "encoding the picture".to_owned(),
        Event::Stage(Stage::TextEncode) => "encoding the prompt".to_owned(),
        Event::Stage(Stage::Denoise) => "sampling".to_owned(),
        Event::Stage(Stage::Decode) => "decoding".to_owned(),
        Event::Stage(Stage::Safety) => "checking the result".to_owned(),
        Event::Step { done, total } => format!("step {done} of {total}"),
        Event::Preview(_) => String::new(),
    };
    Log { message, level: "INFO", source: "USER", timestamp: rfc3339_with_offset(noted.at) }
}
