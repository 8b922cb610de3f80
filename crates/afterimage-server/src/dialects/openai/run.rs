//! Running a request to its end while the client waits.

use super::error::{Error, Failed};
use crate::app::App;
use crate::dialects::field_name;
use crate::refusal::Refusal;
use crate::submit::{FieldName, Submission, cancel};
use crate::wait::submit_and_wait;
use afterimage_jobs::{ApiKey, Job, JobState};
use axum::http::StatusCode;
use std::sync::Arc;

/// Names of fields on OpenAI's routes; those of the native route are [`field_name`]'s.
pub fn form_field_name(field: &str) -> &str {
    match field {
        "num_images" => "n",
        other => field_name(other),
    }
}

/// Runs `submission`; returns the job with its result.
///
/// # Errors
/// Those of [`submit_and_wait`], a failure of the job, and 504 when it has not ended in time.
pub async fn run(app: &Arc<App>, key: &ApiKey, submission: Submission, name: FieldName) -> Result<Job, Error> {
    let can_be_found_again = submission.idempotency.is_some();
    let job = submit_and_wait(app, key, submission, name).await?;
    if let Some(failed) = Failed::of_job(&job, name) {
        return Err(failed.into());
    }
    if job.state == JobState::Succeeded {
        return Ok(job);
    }
    let seconds = app.sync_timeout.as_secs();
    if can_be_found_again {
        let message = format!("not done after {seconds} s; it continues, repeat with the same Idempotency-Key");
        return Err(Failed { retry: true, ..Failed::new(StatusCode::GATEWAY_TIMEOUT, message) }.into());
    }
    // No route of this dialect could give out its result later.
    if let Err(error) = cancel(app, key, &job.id).await {
        tracing::warn!(%error, job_id = %job.id, "the job was not cancelled");
    }
    let message =
        format!("not done after {seconds} s and cancelled; ask for fewer or smaller pictures, or fewer steps");
    Err(Failed::new(StatusCode::GATEWAY_TIMEOUT, message).into())
}

/// The result of a job that [`run`] returned.
///
/// # Errors
/// [`Refusal::Gone`] when it was deleted since.
pub fn result(job: &Job) -> Result<&afterimage_jobs::JobResult, Refusal> {
    job.result.as_ref().ok_or_else(|| Refusal::Gone("the result was deleted".to_owned()))
}
