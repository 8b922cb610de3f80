//! What a process answers to others.

use super::pass::Passes;
use super::wire::{SaidBefore, line};
use afterimage_jobs::progress::{Events, Watcher};
use afterimage_jobs::{JobId, ProcessId};
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::timeout;

/// How often whoever asked is shown that this process is still there. A connection that is gone is noticed by it, too.
pub(super) const BEAT: Duration = Duration::from_secs(5);

/// What answers are made of.
#[derive(Clone)]
struct Answering {
    process: ProcessId,
    passes: Passes,
    events: Events,
}

/// Which events.
#[derive(Debug, Deserialize)]
struct Which {
    attempt: u32,
    #[serde(default)]
    previews: bool,
}

/// The routes of `process`, for bearers of a pass that `passes` made for it.
pub fn router(process: ProcessId, passes: Passes, events: Events) -> Router {
    let asked = Answering { process, passes, events };
    Router::new()
        .route("/internal/jobs/{id}/events", get(events_of))
        .route("/internal/jobs/{id}/history", get(history_of))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(from_fn_with_state(asked.clone(), admit))
        .with_state(asked)
}

/// Lets bearers of a pass through.
async fn admit(State(asked): State<Answering>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let pass = authorization.and_then(|value| value.strip_prefix("Bearer "));
    if pass.is_some_and(|pass| asked.passes.admits(&asked.process, pass)) {
        next.run(request).await
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

/// Events of one attempt, from what is known of it on, until it is over.
async fn events_of(State(asked): State<Answering>, Path(id): Path<String>, Query(which): Query<Which>) -> Response {
    let job = JobId::parse(&id);
    let Some(watcher) = job.and_then(|job| asked.events.watch_attempt(&job, which.attempt, which.previews)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines(watcher))).into_response()
}

/// A line for each event, and one for each time that nothing happens.
fn lines(watcher: Watcher) -> impl stream::Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::unfold(watcher, async |mut watcher| {
        let line = match timeout(BEAT, watcher.next()).await {
            Ok(event) => line(&event?),
            Err(_) => Bytes::from_static(b"\n"),
        };
        Some((Ok(line), watcher))
    })
}

async fn history_of(State(asked): State<Answering>, Path(id): Path<String>) -> Response {
    let Some(job) = JobId::parse(&id) else { return StatusCode::NOT_FOUND.into_response() };
    let history: Vec<SaidBefore> = asked.events.history(&job).iter().map(SaidBefore::from).collect();
    Json(history).into_response()
}
