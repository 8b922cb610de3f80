//! From a checked request of any dialect to a durable job.

use crate::app::App;
use crate::dialects::parameters::{Problem, ProblemKind};
use crate::intake::SourcePicture;
use crate::refusal::Refusal;
use afterimage_core::{Error as CoreError, GenerationRequest, Limits, Size, Task};
use afterimage_engine::sampling::img2img_start;
use afterimage_jobs::{
    ApiKey, Blobs, CancelOutcome, Idempotency, JobId, JobSpec, NewJob, OutputFormat, OutputSpec, Priority, Source,
    Submitted, Webhook,
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
/// [`Refusal::Field`], with the dialect's name of the field, for a request that the engine would refuse; those of the
/// store.
pub async fn submit(
    app: &App,
    key: &ApiKey,
    submission: Submission,
    field_name: FieldName,
) -> Result<Submitted, Refusal> {
    check(&submission, field_name)?;
    if let Some(webhook) = &submission.webhook {
        app.outbound
            .on_behalf_of(&key.id)
            .check_target(&webhook.url)
            .await
            .map_err(|error| Problem::new(field_name("webhook"), ProblemKind::Malformed, error.to_string()))?;
    }
    let id = JobId::random();
    let cost_micros = cost(app, &submission);
    let mut sources = Vec::with_capacity(submission.pictures.len());
    for (index, picture) in submission.pictures.into_iter().enumerate() {
        sources.push(match picture {
            SourcePicture::Inline { bytes, .. } => {
                let path = Blobs::input_path(&id, index);
                app.blobs.put(&path, bytes).await?;
                Source::Blob { path }
            }
            SourcePicture::Stored { blob, .. } => Source::Blob { path: blob },
            SourcePicture::Remote { url } => Source::Url { url },
        });
    }
    let job = NewJob {
        id: id.clone(),
        key: key.id.clone(),
        dialect: submission.dialect.to_owned(),
        model: submission.model,
        input: submission.input,
        spec: JobSpec {
            request: submission.request,
            sources,
            output: OutputSpec { format: submission.format },
            public_url: submission.public_url,
        },
        webhook: submission.webhook,
        idempotency: submission.idempotency,
        priority: submission.priority,
        user: submission.user,
        cost_micros,
        start_within: submission.start_within,
        kept_for: submission.kept_for,
    };
    let submitted = app.store.submit(job).await;
    match &submitted {
        Ok(Submitted::Created(_)) => app.hints.submitted(),
        // The input of a job that was not made is nobody's; when it cannot be removed now, the sweep for orphans will.
        Ok(Submitted::Existing(_)) | Err(_) => {
            if let Err(error) = app.blobs.delete_job(&id).await {
                tracing::warn!(%error, "the input of a refused job was not removed");
            }
        }
    }
    Ok(submitted?)
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

/// What can be known to fail before a model runs.
fn check(submission: &Submission, field_name: FieldName) -> Result<(), Refusal> {
    let request = &submission.request;
    let limits = Limits::default();
    let refuse = |field: &'static str, message: String| {
        Refusal::Field(Problem::new(field_name(field), ProblemKind::OutOfRange, message))
    };
    request.validate(&limits, submission.pictures.len()).map_err(|error| match error {
        CoreError::Field { field, problem } => refuse(field, problem),
        other => {
            tracing::error!(error = %other, "the request's check failed");
            Refusal::Internal
        }
    })?;
    let Task::ImageToImage { strength } = request.task else { return Ok(()) };
    if img2img_start(request.steps, strength) >= request.steps {
        let message =
            format!("{strength} of {} steps leaves none to run; raise it or the number of steps", request.steps);
        return Err(refuse("strength", message));
    }
    if request.size.is_none()
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

/// The price, for the size that is known now: a picture still to be fetched counts as 1024×1024.
fn cost(app: &App, submission: &Submission) -> i64 {
    let request = &submission.request;
    let size = request
        .size
        .or_else(|| submission.pictures.first().and_then(SourcePicture::size))
        .unwrap_or(Size::new(1024, 1024));
    app.rates.micros(size, request.steps, request.num_images)
}
