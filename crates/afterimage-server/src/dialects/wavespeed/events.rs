//! Two additions to the dialect that the playground uses: progress as server-sent events, and cancelling.

use super::error::Answer;
use super::prediction::{Envelope, Prediction};
use super::{own_task, render};
use crate::app::App;
use crate::progress::{Happening, JobNews, event_stream, next_happening};
use crate::submit::cancel;
use afterimage_jobs::ApiKey;
use afterimage_jobs::progress::Event as Progress;
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::sse::Event;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use std::sync::Arc;

/// Progress as server-sent events
///
/// `stage`, `step` and `preview` events until the task ends. An addition to the service's interface.
#[utoipa::path(get, path = "/api/v3/predictions/{id}/events", tag = "wavespeed", params(("id" = String, Path, description = "Id of the task")), responses((status = 200, description = "Events", content_type = "text/event-stream")))]
pub async fn events(State(app): State<Arc<App>>, Extension(key): Extension<ApiKey>, Path(id): Path<String>) -> Answer {
    let job = own_task(&app, &key, &id).await?;
    let observer = app.observer();
    let news = JobNews::of(&observer, &job.id, true);
    let stream = unfold((observer, news, job.id), |(observer, mut news, id)| async move {
        match next_happening(&observer, &mut news, &id).await {
            Ok(Happening::Progress(event)) => {
                Some((Event::default().data(rendered(event).to_string()), (observer, news, id)))
            }
            Ok(Happening::Over(_)) | Err(_) => None,
        }
    });
    Ok(event_stream(stream))
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
    State(app): State<Arc<App>>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Json<Envelope<Prediction>>> {
    let job = own_task(&app, &key, &id).await?;
    cancel(&app, &key, &job.id).await?;
    let job = own_task(&app, &key, &id).await?;
    Ok(Json(Envelope::success(render(&app, &job, &app.public_url.for_request(&headers)).await?)))
}
