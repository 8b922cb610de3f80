//! What a client asks about a queued request: status, result, cancelling.

use super::error::{Answer, Error, Failed};
use super::status::Status;
use super::submission::wants_data_uris;
use super::{DIALECT, with_job};
use crate::app::App;
use crate::dialects::fal::output::Output;
use crate::dialects::own_job;
use crate::http::layers::note_job;
use crate::progress::{Heard, JobNews, event_stream};
use crate::refusal::Refusal;
use crate::submit::cancel;
use crate::wait::{Observer, POLL, is_over_here, seen};
use afterimage_jobs::{ApiKey, CancelOutcome, Job, JobState};
use axum::Json;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde_json::json;
use std::sync::Arc;
use url::form_urlencoded;

/// The request `id` of `key`.
///
/// # Errors
/// [`Refusal::NotFound`] and [`Refusal::Gone`].
pub async fn own_request(app: &App, key: &ApiKey, id: &str) -> Result<Job, Refusal> {
    let job = own_job(app, key, DIALECT, "request", id).await?;
    note_job(job.id.as_str());
    Ok(job)
}

/// Whether `?logs=` asks for them: clients write `1` or `true`.
pub fn wants_logs(query: Option<&str>) -> bool {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .any(|(name, value)| name == "logs" && (value == "1" || value.eq_ignore_ascii_case("true")))
}

/// Its status.
pub async fn status(app: &App, job: &Job, base: &str, logs: bool) -> Answer {
    let status = Status::of(app, job, base, logs).await?;
    Ok(with_job((status.http_status(), Json(status)).into_response(), job))
}

/// Its status whenever it changes, as server-sent events, until it is completed or this server stops. Each event has the
/// log lines since the one before.
pub fn status_stream(app: Arc<App>, job: &Job, base: String, logs: bool) -> Response {
    let observer = app.observer();
    let news = JobNews::of(&observer, &job.id, false);
    let follower = Follower { app, observer, job: job.clone(), base, logs, news, told: None, lines: 0 };
    let stream = unfold(follower, |mut follower| async { Some((follower.next().await?, follower)) });
    with_job(event_stream(stream), job)
}

/// Who is told the status of a request as it changes.
struct Follower {
    app: Arc<App>,
    observer: Observer,
    job: Job,
    base: String,
    logs: bool,
    news: JobNews,
    told: Option<Status>,
    /// Lines of the log that were told.
    lines: usize,
}

impl Follower {
    /// The next event; `None` when there will be no other.
    async fn next(&mut self) -> Option<Event> {
        if self.told.as_ref().is_some_and(Status::is_completed) {
            return None;
        }
        loop {
            match self.changed().await {
                Ok(Some(status)) => return self.tell(status),
                // A store that does not answer says nothing about the request.
                Ok(None) | Err(Refusal::Unavailable) => {}
                Err(_) => return None,
            }
            if is_over_here(&self.observer, &self.job) {
                return None;
            }
            // A request that runs is known to do so, and its log is in memory.
            let known = matches!(self.news.next(POLL).await, Heard::Progress(_)) && self.job.state == JobState::Running;
            if !known && let Some(job) = seen(&self.observer, &self.job.id).await.ok()? {
                self.job = job;
            }
        }
    }

    /// The status, if it is another one than was told, with the log lines that were not.
    async fn changed(&mut self) -> Result<Option<Status>, Refusal> {
        let mut status = Status::of(&self.app, &self.job, &self.base, self.logs).await?;
        let all = status.logs.as_ref().map_or(0, Vec::len);
        if let Some(lines) = &mut status.logs {
            lines.drain(..self.lines.min(all));
        }
        let news = status.logs.as_ref().is_some_and(|lines| !lines.is_empty());
        let without_log = |status: &Status| Status { logs: None, ..status.clone() };
        let same = self.told.as_ref().is_some_and(|told| without_log(told) == without_log(&status));
        self.lines = all;
        Ok((news || !same).then_some(status))
    }

    fn tell(&mut self, status: Status) -> Option<Event> {
        let event = Event::default().json_data(&status).ok()?;
        self.told = Some(status);
        Some(event)
    }
}

/// Its result, or the error that it ended with.
pub async fn result(app: &App, job: &Job, base: &str) -> Answer {
    finished(app, job, base, wants_data_uris(job)).await
}

/// The end of `job`, with the pictures inlined or addressed under `base`.
pub async fn finished(app: &App, job: &Job, base: &str, inline: bool) -> Answer {
    if let Some(failed) = Failed::of_job(job) {
        return Ok(with_job(failed.into_response(), job));
    }
    let output = if inline { Output::inlined(app, job).await? } else { Output::with_addresses(job, base, &app.links) };
    Ok(match output {
        Some(output) => with_job(Json(output).into_response(), job),
        None => with_job(Failed::not_yet().into_response(), job),
    })
}

/// Ends it.
pub async fn cancel_request(app: &App, key: &ApiKey, job: &Job) -> Answer {
    let (status, word) = match cancel(app, key, &job.id).await? {
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
        other => Error::from(other).into_response(),
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
