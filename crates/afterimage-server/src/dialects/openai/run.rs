//! Running a request to its end while the client waits.

use super::error::{Failed, HandlerError};
use crate::cancel::cancel;
use crate::dialects::{field_name, is_all_hidden};
use crate::follow::SyncRunner;
use crate::refusal::Refusal;
use crate::submit::{FieldName, Submission};
use afterimage_core::Field;
use afterimage_jobs::{ApiKey, Job, JobResult, JobState};
use axum::http::StatusCode;

/// Names of fields on OpenAI's routes; those of the native route are [`field_name`]'s.
pub const fn form_field_name(field: Field) -> &'static str {
    match field {
        Field::NumImages => "n",
        Field::Mask => "mask",
        Field::Image
        | Field::Size
        | Field::Steps
        | Field::Guidance
        | Field::ImageWeight
        | Field::ImageMask
        | Field::Start
        | Field::MaskBlur
        | Field::CropPadding
        | Field::VariationStrength
        | Field::Prompt
        | Field::Enlarge
        | Field::Strength
        | Field::ReduxStrength
        | Field::ReduxSpans
        | Field::ReduxDownsample
        | Field::Redux
        | Field::Model
        | Field::Loras
        | Field::Repeat => field_name(field),
    }
}

/// Runs `submission`; returns the job with its result.
///
/// # Errors
/// Those of [`SyncRunner::run`], a failure of the job, and [`not_done`].
pub async fn run(
    sync: &SyncRunner,
    key: &ApiKey,
    submission: Submission,
    name: FieldName,
) -> Result<Job, HandlerError> {
    let can_be_found_again = submission.idempotency.is_some();
    let job = sync.run(key, submission, name).await?;
    if let Some(failed) = Failed::of_job(&job, name) {
        return Err(failed.into());
    }
    if job.state == JobState::Succeeded {
        return Ok(job);
    }
    Err(not_done(sync, key, &job, can_be_found_again).await.into())
}

/// What a request gets whose job has not ended when the time to wait is over (504), or when the server stops (503, to be
/// repeated). The job goes on only if a repetition can find it: no other route of this dialect could give out its result.
pub async fn not_done(sync: &SyncRunner, key: &ApiKey, job: &Job, can_be_found_again: bool) -> Failed {
    let why = sync.why_not_done();
    let stops = sync.follower.stopping.is_cancelled();
    let status = if stops { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::GATEWAY_TIMEOUT };
    if can_be_found_again {
        let message = format!("{why}; it continues, repeat with the same Idempotency-Key");
        return Failed { retry: true, ..Failed::new(status, message) };
    }
    if let Err(error) = cancel(sync.follower.store.as_ref(), &sync.follower.hints, key, &job.id).await {
        tracing::warn!(%error, job_id = %job.id, "the job was not cancelled");
    }
    let advice = if stops { "send it again" } else { "ask for fewer or smaller pictures, or fewer steps" };
    Failed { retry: stops, ..Failed::new(status, format!("{why} and cancelled; {advice}")) }
}

/// The result of a job that [`run`] returned.
///
/// # Errors
/// [`Refusal::Gone`] when it was deleted since.
pub fn result(job: &Job) -> Result<&JobResult, Refusal> {
    job.result.as_ref().ok_or_else(|| Refusal::Gone("the result was deleted".to_owned()))
}

/// The same on OpenAI's routes, which have no flags: when nothing of a result can be seen, the request counts as rejected.
/// The job stays as it is, so that a repetition of the request is answered in the same way.
///
/// # Errors
/// Those of [`result`], and [`Failed::withheld`].
pub fn shown_result(job: &Job) -> Result<&JobResult, HandlerError> {
    if is_all_hidden(job) {
        return Err(Failed::withheld().into());
    }
    Ok(result(job)?)
}
