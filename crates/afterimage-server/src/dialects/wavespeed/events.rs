//! Two additions to the dialect that the playground uses: progress as server-sent events, and cancelling.

use super::error::Answer;
use super::prediction::{Envelope, Prediction};
use super::tasks::{own_task, render};
use crate::cancel::cancel;
use crate::files::ResultFiles;
use crate::follow::{Follower, JobListener, JobUpdate, Look, event_stream, next_look};
use crate::http::PublicUrl;
use afterimage_jobs::progress::Event as Progress;
use afterimage_jobs::{ApiKey, JobId};
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::sse::Event;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::unfold;
use serde_json::{Value, json};

/// Progress as server-sent events
///
/// `queue` events while it waits (`place`: how many are before it), then `stage`, `step` and `preview`, until the task ends. An addition to the service's interface.
#[utoipa::path(get, path = "/api/v3/predictions/{id}/events", tag = "wavespeed", params(("id" = String, Path, description = "Id of the task")), responses((status = 200, description = "Events", content_type = "text/event-stream")))]
pub async fn events(
    State(follower): State<Follower>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
) -> Answer {
    let job = own_task(follower.store.as_ref(), &key, &id).await?;
    let news = JobListener::of(&follower, &job.id, true);
    let stream = unfold((follower, news, job.id, None), |(follower, mut news, id, mut place)| async move {
        let event = next_event(&follower, &mut news, &id, &mut place).await.ok().flatten()?;
        Some((Event::default().data(event.to_string()), (follower, news, id, place)))
    });
    Ok(event_stream(stream))
}

/// The next event of the task `id`, whose `place` in the queue was told before; `None` when it is over.
async fn next_event(
    follower: &Follower,
    news: &mut JobListener,
    id: &JobId,
    place: &mut Option<u64>,
) -> Answer<Option<Value>> {
    loop {
        match next_look(follower, news, id).await? {
            Look::Update(JobUpdate::Progress(event)) => return Ok(Some(rendered(event))),
            Look::Update(JobUpdate::Over(_)) => return Ok(None),
            Look::Same(_) => {
                let now = follower.store.position(id).await?;
                if std::mem::replace(place, now) != now
                    && let Some(place) = now
                {
                    return Ok(Some(json!({"type": "queue", "place": place})));
                }
            }
        }
    }
}

fn rendered(event: Progress) -> Value {
    match event {
        Progress::Stage(stage) => json!({"type": "stage", "stage": stage}),
        Progress::Step { done, total } => json!({"type": "step", "done": done, "total": total}),
        Progress::Preview(jpeg) => {
            json!({"type": "preview", "url": format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))})
        }
    }
}

/// Cancel a task
///
/// Takes effect within one step. An addition to the service's interface.
#[utoipa::path(post, path = "/api/v3/predictions/{id}/cancel", tag = "wavespeed", params(("id" = String, Path, description = "Id of the task")), responses((status = 200, description = "The task", body = Envelope<Prediction>)))]
pub async fn cancel_task(
    State(follower): State<Follower>,
    State(files): State<ResultFiles>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Json<Envelope<Prediction>>> {
    let job = own_task(follower.store.as_ref(), &key, &id).await?;
    cancel(follower.store.as_ref(), &follower.hints, &key, &job.id).await?;
    let job = own_task(follower.store.as_ref(), &key, &id).await?;
    Ok(Json(Envelope::success(render(&files, &job, &public_url.for_request(&headers)).await?)))
}
