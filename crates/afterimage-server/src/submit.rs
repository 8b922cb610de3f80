//! From a checked request of any dialect to a durable job.

use crate::app::App;
use crate::cost::quote;
use crate::intake::{SourcePicture, own_file_gone};
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_core::{Error as CoreError, GenerationRequest, Limits, ModelName, OutputFormat, Task};
use afterimage_jobs::{
    ApiKey, Blobs, CancelOutcome, Idempotency, JobId, JobSpec, JobState, NewJob, OutputSpec, Priority, Queue, Removed,
    Source, Submitted, Webhook,
};
use serde_json::Value;
use std::time::Duration;

/// What a dialect made of a request.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The dialect's name.
    pub dialect: &'static str,
    /// The model's id in that dialect.
    pub model: String,
    /// What the client sent, for echoing.
    pub input: Value,
    /// What to generate.
    pub request: GenerationRequest,
    /// The input pictures.
    pub pictures: Vec<SourcePicture>,
    /// File format of the results.
    pub format: OutputFormat,
    /// What addresses in reports start with.
    pub public_url: String,
    /// Where to report the end.
    pub webhook: Option<Webhook>,
    /// Makes repetitions find the first one's job.
    pub idempotency: Option<Idempotency>,
    /// Head start in the queue.
    pub priority: Priority,
    /// The key's own end user.
    pub user: Option<String>,
    /// Fail unless started within this time.
    pub start_within: Option<Duration>,
    /// How long input and result are kept after the end, if that is shorter than usual.
    pub kept_for: Option<Duration>,
}

/// How a dialect calls the fields that the engine checks, and `webhook`.
pub type FieldName = fn(&str) -> &str;

/// Makes `submission` durable and wakes a worker. Nothing is stored when it is refused.
///
/// # Errors
/// [`Refusal::Field`], with the dialect's name of the field, for a request that the engine would refuse;
/// [`Refusal::OverQuota`] and [`Refusal::DiskFull`]; those of the store.
pub async fn submit(
    app: &App,
    key: &ApiKey,
    mut submission: Submission,
    field_name: FieldName,
) -> Result<Submitted, Refusal> {
    let unserved = || Refusal::NotFound(format!("model {:?} is not served here", submission.model));
    submission.request.model = app.models.queue_of(&submission.model).ok_or_else(unserved)?;
    check(&submission, app.models.queues(), field_name)?;
    if let Some(webhook) = &submission.webhook {
        app.outbound
            .on_behalf_of(&key.id)
            .check_target(&webhook.url)
            .await
            .map_err(|error| Problem::new(field_name("webhook"), ProblemKind::Malformed, error.to_string()))?;
    }
    let bytes = submission.pictures.iter().map(SourcePicture::inlined_bytes).sum();
    let reserved = app.room.reserve(app.store.as_ref(), &key.id, bytes).await;
    // A repetition asks for nothing new: its sender may not know yet that the first one filled the quota.
    if let (Err(Refusal::OverQuota { .. } | Refusal::DiskFull), Some(idempotency)) =
        (&reserved, &submission.idempotency)
        && let Some(job) = app.store.repeated(&key.id, idempotency).await?
    {
        return Ok(Submitted::Existing(job));
    }
    let _reserved = reserved?;
    let id = JobId::random();
    let size = submission.pictures.first().and_then(SourcePicture::size);
    let cost_micros = quote(app.rates, &submission.request, size);
    let inputs = match store_inputs(app, &id, submission.pictures, field_name).await {
        Ok(inputs) => inputs,
        Err(refusal) => {
            discard_inputs(app, &id).await;
            return Err(refusal);
        }
    };
    let job = NewJob {
        id: id.clone(),
        key: key.id.clone(),
        dialect: submission.dialect.to_owned(),
        model: submission.model,
        input: submission.input,
        spec: JobSpec {
            request: submission.request,
            sources: inputs.sources,
            output: OutputSpec { format: submission.format },
            public_url: submission.public_url,
            rates: Some(app.rates),
        },
        webhook: submission.webhook,
        idempotency: submission.idempotency,
        priority: submission.priority,
        user: submission.user,
        cost_micros,
        input_bytes: inputs.bytes,
        start_within: submission.start_within,
        kept_for: submission.kept_for,
    };
    let submitted = app.store.submit(job).await;
    match &submitted {
        Ok(Submitted::Created(job)) if job.spec.awaits_sources() => app.hints.awaiting(),
        Ok(Submitted::Created(job)) => app.hints.submitted(&job.spec.request.model),
        Ok(Submitted::Existing(_)) | Err(_) => discard_inputs(app, &id).await,
    }
    Ok(submitted?)
}

/// A job's pictures, as far as they are here.
#[derive(Default)]
struct Inputs {
    sources: Vec<Source>,
    /// Bytes that were stored for it.
    bytes: u64,
}

/// Stores what the job will need until it has ended. A file of ours gets a name of the job's own: its first one may go,
/// by its owner or by its age, while the job waits.
async fn store_inputs(
    app: &App,
    id: &JobId,
    pictures: Vec<SourcePicture>,
    field_name: FieldName,
) -> Result<Inputs, Refusal> {
    let mut inputs = Inputs::default();
    for (index, picture) in pictures.into_iter().enumerate() {
        let path = Blobs::input_path(id, index);
        inputs.sources.push(match picture {
            SourcePicture::Inline { bytes, .. } => {
                inputs.bytes += bytes.len() as u64;
                app.blobs.put(&path, bytes).await?;
                Source::Blob { path }
            }
            SourcePicture::Stored { blob, .. } => {
                inputs.bytes +=
                    app.blobs.copy(&blob, &path).await?.ok_or_else(|| own_file_gone(field_name("image")))?;
                Source::Blob { path }
            }
            SourcePicture::Remote { url } => Source::Url { url },
        });
    }
    Ok(inputs)
}

/// The input of a job that was not made is nobody's; when it cannot be removed now, the sweep for orphans will.
async fn discard_inputs(app: &App, id: &JobId) {
    if let Err(error) = app.blobs.delete_job(id).await {
        tracing::warn!(%error, "the input of a refused job was not removed");
    }
}

/// Cancels a job of `key` and tells whoever in this process should know.
///
/// # Errors
/// Those of the store.
pub async fn cancel(app: &App, key: &ApiKey, id: &JobId) -> Result<CancelOutcome, Refusal> {
    let outcome = app.store.cancel(&key.id, id).await?;
    match outcome {
        CancelOutcome::Requested => app.hints.cancel_requested(id),
        CancelOutcome::Cancelled => app.hints.ended(id),
        CancelOutcome::AlreadyFinished | CancelOutcome::NotFound => {}
    }
    Ok(outcome)
}

/// Deletes jobs of `key` and tells whoever in this process should know; returns how many there were.
///
/// # Errors
/// Those of the store.
pub async fn delete(app: &App, key: &ApiKey, ids: &[JobId]) -> Result<u64, Refusal> {
    let removed = app.store.delete(&key.id, ids).await?;
    for Removed { job, was } in &removed {
        match was {
            JobState::Running => app.hints.cancel_requested(job),
            JobState::Queued => app.hints.ended(job),
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => {}
        }
    }
    Ok(removed.len() as u64)
}

/// What can be known to fail before a model runs.
fn check(submission: &Submission, queues: &[Queue], field_name: FieldName) -> Result<(), Refusal> {
    let request = &submission.request;
    let limits = Limits::default();
    let refuse = |field: &'static str, message: String| {
        Refusal::Field(Problem::new(field_name(field), ProblemKind::OutOfRange, message))
    };
    let checked = request.validate(&limits, submission.pictures.len());
    checked.and_then(|()| ModelName::check(&request.model, queues)).map_err(|error| match error {
        CoreError::Field { field, problem } => refuse(field, problem),
        other => {
            tracing::error!(error = %other, "the request's check failed");
            Refusal::Internal
        }
    })?;
    if matches!(request.task, Task::ImageToImage { .. })
        && request.size.is_none()
        && let Some(size) = submission.pictures.first().and_then(SourcePicture::size)
        && (!limits.side.contains(&size.width) || !limits.side.contains(&size.height))
    {
        let message = format!(
            "{size} is out of range; the result has the picture's size, so each side takes {} to {} pixels",
            limits.side.start(),
            limits.side.end()
        );
        return Err(refuse("image", message));
    }
    Ok(())
}
