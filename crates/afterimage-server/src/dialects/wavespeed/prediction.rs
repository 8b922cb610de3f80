//! A job as this dialect shows it.

use crate::dialects::{flags, rfc3339};
use crate::files::FileLinks;
use afterimage_core::GenerationFacts;
use afterimage_jobs::{FailureKind, Job, JobResult, JobState};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The wrapper of every answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Envelope<T> {
    /// 200.
    pub code: u16,
    /// `success`.
    pub message: &'static str,
    /// What was asked for.
    pub data: T,
}

impl<T> Envelope<T> {
    /// A successful answer.
    pub const fn success(data: T) -> Self {
        Self { code: 200, message: "success", data }
    }
}

/// A task and, when it is completed, its results.
#[derive(Debug, Serialize, ToSchema)]
pub struct Prediction {
    /// Id of the task.
    pub id: String,
    /// Model id.
    pub model: String,
    /// What was sent; long pictures shortened.
    pub input: Value,
    /// URLs of the results, or base64 when that was asked for; empty until completed.
    pub outputs: Vec<String>,
    /// Where to ask again.
    pub urls: Urls,
    /// Whether each of the outputs was flagged, in their order; `false` also where the request went without a check. Empty
    /// until completed, and when nobody could look: what was not checked is not called safe.
    pub has_nsfw_contents: Vec<bool>,
    /// `created`, `processing`, `completed`, `failed` or `cancelled`.
    pub status: &'static str,
    /// RFC 3339 with milliseconds, UTC.
    pub created_at: String,
    /// Why it failed; empty otherwise.
    pub error: String,
    /// Category of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Milliseconds from start to end.
    #[serde(rename = "executionTime")]
    pub execution_time: i64,
    /// Times.
    pub timings: PredictionTimings,
}

/// Addresses of a task.
#[derive(Debug, Serialize, ToSchema)]
pub struct Urls {
    /// The task's result.
    pub get: String,
}

/// Times of a task.
#[derive(Debug, Serialize, ToSchema)]
pub struct PredictionTimings {
    /// Milliseconds the models took.
    pub inference: u64,
    /// An addition: milliseconds of each stage, whether picture and prompt were known from an earlier task, the size of the
    /// first of two passes, and the LoRAs that were used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Value>,
}

/// Code of an answer that stopped waiting; the task goes on.
pub const SYNC_TIMEOUT_CODE: u16 = 5004;

impl Prediction {
    /// `job` with results as signed addresses under `base`.
    pub fn new(job: &Job, base: &str, links: &FileLinks) -> Self {
        let outputs = job
            .result
            .iter()
            .flat_map(|result| result.files.iter().enumerate())
            .map(|(index, file)| links.result(base, job, index, file))
            .collect();
        Self {
            id: job.id.to_string(),
            model: job.model.clone(),
            input: job.input.clone(),
            outputs,
            urls: Urls { get: format!("{base}/api/v3/predictions/{}/result", job.id) },
            has_nsfw_contents: flags(job),
            status: status(job.state),
            created_at: rfc3339(job.created_at),
            error: error(job),
            code: job.failure.as_ref().map(|failure| failure_code(failure.kind)),
            execution_time: execution_time(job),
            timings: PredictionTimings {
                inference: job.result.as_ref().map_or(0, JobResult::inference_ms),
                stages: job.result.as_ref().map(|result| stages(&result.facts)),
            },
        }
    }

    /// The same, for a client whose synchronous wait ended before the task did, `why` as a clause. The SDKs recognise it
    /// by the code or by the text.
    #[must_use]
    pub fn with_sync_timeout(mut self, why: &str) -> Self {
        self.status = "processing";
        self.code = Some(SYNC_TIMEOUT_CODE);
        self.error = format!("Sync mode timed out ({why}); the task continues, read its result at {}", self.urls.get);
        self
    }
}

/// The dialect's word for a state.
pub const fn status(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "created",
        JobState::Running => "processing",
        JobState::Succeeded => "completed",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// The states that a word of the dialect stands for.
pub fn states(status: &str) -> Option<JobState> {
    [JobState::Queued, JobState::Running, JobState::Succeeded, JobState::Failed, JobState::Cancelled]
        .into_iter()
        .find(|state| self::status(*state) == status)
}

/// Milliseconds of the stages, with what was taken from the engine's caches, what was enlarged and what
/// was added to the model.
fn stages(facts: &GenerationFacts) -> Value {
    let mut stages = json!(facts.timings);
    let others = [
        ("files_ms", facts.files_ms.map(Value::from)),
        ("image_cached", Some(facts.image_cached.into())),
        ("text_cached", Some(facts.text_cached.into())),
        ("enlarged_from", facts.enlarged_from.map(|size| json!(size))),
        ("loras", (!facts.loras.is_empty()).then(|| json!(facts.loras))),
    ];
    for (name, value) in others {
        if let Some(value) = value {
            stages[name] = value;
        }
    }
    stages
}

fn error(job: &Job) -> String {
    match (&job.failure, job.state) {
        (Some(failure), _) => match &failure.field {
            Some(field) => format!("{field}: {}", failure.message),
            None => failure.message.clone(),
        },
        (None, JobState::Cancelled) => "cancelled".to_owned(),
        (None, _) => String::new(),
    }
}

const fn failure_code(kind: FailureKind) -> u16 {
    match kind {
        FailureKind::BadInput => 1401,
        FailureKind::SourceUnavailable => 1402,
        FailureKind::ContentRejected => 1200,
        FailureKind::Engine | FailureKind::Model | FailureKind::SafetyChecker => 1403,
        FailureKind::Crashed => 1405,
        FailureKind::StartTimeout => 5004,
        FailureKind::Storage | FailureKind::Internal => 5000,
    }
}

fn execution_time(job: &Job) -> i64 {
    if let Some(measured) = job.result.as_ref().and_then(|result| result.run_ms) {
        return measured as i64;
    }
    match (job.started_at, job.finished_at) {
        (Some(started), Some(finished)) => finished.since(started).as_millis() as i64,
        _ => 0,
    }
}
