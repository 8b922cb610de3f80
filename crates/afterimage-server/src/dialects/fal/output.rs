//! Results of this dialect.

use super::error::Failed;
use crate::dialects::flags;
use crate::files::{FileLinks, ResultFiles};
use crate::refusal::Refusal;
use afterimage_core::PictureFacts;
use afterimage_jobs::{Job, ResultFile};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What a model returns.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalOutput)]
pub struct Output {
    /// The pictures.
    pub images: Vec<Image>,
    /// Times.
    pub timings: FalTimings,
    /// The seed that was used, drawn or given.
    pub seed: u64,
    /// Whether each of the pictures was flagged, in their order; `false` also where the request went without a check. Empty
    /// when nobody could look: what was not checked is not called safe.
    pub has_nsfw_concepts: Vec<bool>,
    /// The prompt that was used.
    pub prompt: String,
}

/// One picture.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalImage)]
pub struct Image {
    /// Its address, or the picture itself as `data:` URI when that was asked for.
    pub url: String,
    /// Media type.
    pub content_type: String,
    /// Name for saving it.
    pub file_name: String,
    /// Bytes.
    pub file_size: u64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Times of a result.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalTimings)]
pub struct FalTimings {
    /// Seconds the models took.
    pub inference: f64,
}

impl Output {
    /// The result of `job` with addresses under `base`; `None` when there is none.
    pub fn with_addresses(job: &Job, base: &str, links: &FileLinks) -> Option<Self> {
        let result = job.result.as_ref()?;
        let images = result
            .pictures()
            .enumerate()
            .map(|(index, (facts, file))| image(job, index, *facts, file, links.result(base, job, index, file)))
            .collect();
        Some(Self {
            images,
            timings: FalTimings { inference: seconds(result.inference_ms()) },
            seed: result.facts.seed,
            has_nsfw_concepts: flags(job),
            prompt: job.spec.request.prompt.clone().unwrap_or_default(),
        })
    }

    /// The same with the pictures themselves.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn inlined(files: &ResultFiles, job: &Job) -> Result<Option<Self>, Refusal> {
        let (Some(mut output), Some(result)) = (Self::with_addresses(job, "", &files.links), &job.result) else {
            return Ok(None);
        };
        for (image, file) in output.images.iter_mut().zip(&result.files) {
            let bytes = files.read(file).await?;
            image.url = format!("data:{};base64,{}", file.content_type, STANDARD.encode(bytes));
        }
        Ok(Some(output))
    }
}

fn image(job: &Job, index: usize, facts: PictureFacts, file: &ResultFile, url: String) -> Image {
    // Unlike the service's, these two are never null: some clients insist on them.
    let extension = file.content_type.rsplit('/').next().unwrap_or("bin");
    Image {
        url,
        content_type: file.content_type.clone(),
        file_name: format!("{}-{index}.{extension}", job.id),
        file_size: file.bytes,
        width: facts.size.width,
        height: facts.size.height,
    }
}

/// Milliseconds in seconds.
pub fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// What a webhook tells about the end of `job`: `status`, `error` and `payload`.
pub fn report(job: &Job, links: &FileLinks) -> Value {
    let ids = json!({"request_id": job.id, "gateway_request_id": job.id});
    let mut report = match (Output::with_addresses(job, &job.spec.public_url, links), Failed::of_job(job)) {
        (Some(output), _) => json!({"status": "OK", "error": null, "payload": output}),
        (None, Some(failed)) => json!({
            "status": "ERROR",
            "error": format!("Invalid status code: {}", failed.status.as_u16()),
            "payload": failed.body,
        }),
        // Deleted since.
        (None, None) => json!({"status": "ERROR", "error": "the request was deleted", "payload": null}),
    };
    if let (Some(report), Value::Object(ids)) = (report.as_object_mut(), ids) {
        report.extend(ids);
    }
    report
}
