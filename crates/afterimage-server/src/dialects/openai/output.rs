//! Results of this dialect.

use super::error::HandlerError;
use super::run::shown_result;
use crate::cost::dollars;
use crate::dialects::flags;
use crate::files::{FileLinks, ResultFiles};
use crate::refusal::Refusal;
use afterimage_jobs::{Job, JobResult, JobState};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

/// What OpenAI's routes return.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiImages)]
pub struct Images {
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// The pictures.
    pub data: Vec<Image>,
}

/// One picture: itself or its address.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = OpenAiImage)]
pub struct Image {
    /// The file in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b64_json: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Null: prompts are used as they come.
    pub revised_prompt: Option<String>,
}

impl Images {
    /// The pictures of `job` by their addresses under `base`.
    ///
    /// # Errors
    /// When they are gone or withheld.
    pub fn with_addresses(job: &Job, base: &str, links: &FileLinks) -> Result<Self, HandlerError> {
        let data = shown_result(job)?
            .files
            .iter()
            .enumerate()
            .map(|(index, file)| Image { url: Some(links.result(base, job, index, file)), ..Image::default() })
            .collect();
        Ok(Self { created: created(job), data })
    }

    /// The pictures of `job` themselves.
    ///
    /// # Errors
    /// When they are gone, withheld, or cannot be read.
    pub async fn inlined(files: &ResultFiles, job: &Job) -> Result<Self, HandlerError> {
        let mut data = Vec::new();
        for file in &shown_result(job)?.files {
            let bytes = files.read(file).await?;
            data.push(Image { b64_json: Some(STANDARD.encode(bytes)), ..Image::default() });
        }
        Ok(Self { created: created(job), data })
    }
}

/// When `job` ended, in seconds since 1970.
pub fn created(job: &Job) -> i64 {
    job.finished_at.unwrap_or(job.created_at).unix_seconds()
}

/// What the native route returns, and reports to webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeepInfraResult)]
pub struct NativeResult {
    /// The pictures as `data:` URIs; empty until there are any.
    pub images: Vec<String>,
    /// Whether each of the pictures was flagged, in their order. Empty until there are any, and when nobody could look: what
    /// was not checked is not called safe.
    pub nsfw_content_detected: Vec<bool>,
    /// The seed that was used, drawn or given.
    pub seed: Option<u64>,
    /// Id of the request's job.
    pub request_id: String,
    /// How it went.
    pub inference_status: InferenceStatus,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a request went.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeepInfraInferenceStatus)]
pub struct InferenceStatus {
    /// `queued`, `running`, `succeeded` or `failed`.
    pub status: &'static str,
    /// Milliseconds the models took.
    pub runtime_ms: u64,
    /// Dollars; only successes cost anything.
    pub cost: f64,
    /// Null: no text is made.
    pub tokens_generated: Option<u64>,
    /// Null.
    pub tokens_input: Option<u64>,
}

impl NativeResult {
    /// `job`, wherever it stands.
    ///
    /// # Errors
    /// When pictures cannot be read.
    pub async fn of(files: &ResultFiles, job: &Job) -> Result<Self, Refusal> {
        let mut images = Vec::new();
        for file in job.result.iter().flat_map(|result| &result.files) {
            let bytes = files.read(file).await?;
            images.push(format!("data:{};base64,{}", file.content_type, STANDARD.encode(bytes)));
        }
        let status = match job.state {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Succeeded => "succeeded",
            JobState::Failed | JobState::Cancelled => "failed",
        };
        let error = match (&job.failure, job.state) {
            (Some(failure), _) => Some(failure.message.clone()),
            (None, JobState::Cancelled) => Some("the request was cancelled".to_owned()),
            (None, _) => None,
        };
        Ok(Self {
            nsfw_content_detected: flags(job),
            images,
            seed: job.result.as_ref().map(|result| result.facts.seed),
            request_id: job.id.to_string(),
            inference_status: InferenceStatus {
                status,
                runtime_ms: job.result.as_ref().map_or(0, JobResult::inference_ms),
                cost: if job.state == JobState::Succeeded { dollars(job.cost_micros) } else { 0.0 },
                tokens_generated: None,
                tokens_input: None,
            },
            error,
        })
    }
}
