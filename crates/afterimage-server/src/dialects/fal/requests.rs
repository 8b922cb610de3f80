//! What a client asks about a queued request: status, result, cancelling.

use super::DIALECT;
use super::error::{Answer, Failed, Shape};
use super::output::Output;
use super::responses::with_job;
use super::status::Status;
use super::submission::wants_data_uris;
use crate::cancel::cancel;
use crate::dialects::own_job;
use crate::error_shape::ErrorShape;
use crate::files::ResultFiles;
use crate::follow::{Follower, JobListener, Signal, event_stream, is_over_here, seen};
use crate::http::layers::note_job;
use crate::refusal::Refusal;
use afterimage_jobs::{ApiKey, CancelOutcome, Job, JobState, Store};
use axum::Json;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde_json::json;
use url::form_urlencoded;

/// The request `id` of `key`.
///
/// # Errors
/// [`Refusal::NotFound`] and [`Refusal::Gone`].
pub async fn own_request(store: &dyn Store, key: &ApiKey, id: &str) -> Result<Job, Refusal> {
    let job = own_job(store, key, DIALECT, "request", id).await?;
    note_job(job.id.as_str());
    Ok(job)
}

/// Whether `?logs=` asks for them: clients write `1` or `true`.
pub fn wants_logs(query: Option<&str>) -> bool {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .any(|(name, value)| name == "logs" && (value == "1" || value.eq_ignore_ascii_case("true")))
}

/// Its status.
pub async fn status(follower: &Follower, job: &Job, base: &str, logs: bool) -> Answer {
    let history = if logs { Some(follower.history(&job.id).await) } else { None };
    let status = Status::of(follower, job, base, history).await?;
    Ok(with_job((status.http_status(), Json(status)).into_response(), job))
}

/// Its status whenever it changes, as server-sent events, until it is completed or this server stops. Each event has the
/// log lines since the one before.
pub fn status_stream(follower: Follower, job: &Job, base: String, logs: bool) -> Response {
    let news = JobListener::of(&follower, &job.id, false);
    let start = StatusStream { follower, job: job.clone(), base, logs, news, shown: None, lines: 0 };
    let stream = unfold(start, |mut statuses| async { Some((statuses.next().await?, statuses)) });
    with_job(event_stream(stream), job)
}

/// Who is shown the status of a request as it changes.
struct StatusStream {
    follower: Follower,
    job: Job,
    base: String,
    logs: bool,
    news: JobListener,
    shown: Option<Status>,
    /// Lines of the log that were shown.
    lines: usize,
}

impl StatusStream {
    /// The next event; `None` when there will be no other.
    async fn next(&mut self) -> Option<Event> {
        if self.shown.as_ref().is_some_and(Status::is_completed) {
            return None;
        }
        loop {
            match self.changed().await {
                Ok(Some(status)) => return self.event(status),
                // A store that does not answer says nothing about the request.
                Ok(None) | Err(Refusal::Unavailable) => {}
                Err(_) => return None,
            }
            if is_over_here(&self.follower, &self.job) {
                return None;
            }
            // A request that runs is known to do so, and its log is in memory.
            let patience = self.follower.poll();
            let known =
                matches!(self.news.next(patience).await, Signal::Progress(_)) && self.job.state == JobState::Running;
            if !known && let Some(job) = seen(&self.follower, &self.job.id).await.ok()? {
                self.job = job;
            }
        }
    }

    /// The status, if it is another one than was shown, with the log lines that were not.
    async fn changed(&mut self) -> Result<Option<Status>, Refusal> {
        // What is heard here is enough: lines are shown as they come, and none twice.
        let history = self.logs.then(|| self.follower.events.history(&self.job.id));
        let mut status = Status::of(&self.follower, &self.job, &self.base, history).await?;
        let all = status.logs.as_ref().map_or(0, Vec::len);
        if let Some(lines) = &mut status.logs {
            lines.drain(..self.lines.min(all));
        }
        let news = status.logs.as_ref().is_some_and(|lines| !lines.is_empty());
        let without_log = |status: &Status| Status { logs: None, ..status.clone() };
        let same = self.shown.as_ref().is_some_and(|shown| without_log(shown) == without_log(&status));
        self.lines = all;
        Ok((news || !same).then_some(status))
    }

    fn event(&mut self, status: Status) -> Option<Event> {
        let event = Event::default().json_data(&status).ok()?;
        self.shown = Some(status);
        Some(event)
    }
}

/// Its result, or the error that it ended with.
pub async fn result(files: &ResultFiles, job: &Job, base: &str) -> Answer {
    finished(files, job, base, wants_data_uris(job)).await
}

/// The end of `job`, with the pictures inlined or addressed under `base`.
pub async fn finished(files: &ResultFiles, job: &Job, base: &str, inline: bool) -> Answer {
    if let Some(failed) = Failed::of_job(job) {
        return Ok(with_job(failed.into_response(), job));
    }
    let output =
        if inline { Output::inlined(files, job).await? } else { Output::with_addresses(job, base, &files.links) };
    Ok(match output {
        Some(output) => with_job(Json(output).into_response(), job),
        None => with_job(Failed::not_yet().into_response(), job),
    })
}

/// Ends it.
pub async fn cancel_request(follower: &Follower, key: &ApiKey, job: &Job) -> Answer {
    let (status, word) = match cancel(follower.store.as_ref(), &follower.hints, key, &job.id).await? {
        CancelOutcome::Cancelled | CancelOutcome::Requested => (StatusCode::ACCEPTED, "CANCELLATION_REQUESTED"),
        CancelOutcome::AlreadyFinished => (StatusCode::BAD_REQUEST, "ALREADY_COMPLETED"),
        CancelOutcome::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
    };
    Ok(with_job((status, Json(json!({"status": word}))).into_response(), job))
}

/// Cancelling what is not there has a body of its own.
pub fn not_found_to_cancel(refusal: Refusal) -> Response {
    match refusal {
        Refusal::NotFound(message) => {
            let body = json!({"status": "NOT_FOUND", "detail": message, "message": message});
            (StatusCode::NOT_FOUND, Json(body)).into_response()
        }
        other => Shape::respond(&other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_asked_for_in_two_ways() {
        assert!(wants_logs(Some("logs=1")) && wants_logs(Some("a=b&logs=true")) && wants_logs(Some("logs=True")));
        assert!(!wants_logs(None) && !wants_logs(Some("logs=0")) && !wants_logs(Some("logs=false")));
    }
}
