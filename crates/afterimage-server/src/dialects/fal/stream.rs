//! `/stream`: a synchronous request that tells how far it is.

use super::error::{Answer, Failed};
use super::models::field_name;
use super::output::Output;
use super::submission::Asked;
use super::with_job;
use crate::app::App;
use crate::engine_process::{Event as Progress, Watcher};
use crate::progress::next_event;
use crate::refusal::Refusal;
use crate::submit::submit;
use crate::wait::CancelOnDrop;
use afterimage_jobs::{ApiKey, JobId};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// A stream whose last value has not been sent.
struct Follower {
    app: Arc<App>,
    watcher: Watcher,
    id: JobId,
    base: String,
    inline: bool,
    guard: CancelOnDrop,
}

/// Queues what was asked for and streams its progress: values with `progress`, some with a preview in `images`, and the
/// output as the last one. A client that hangs up cancels the job.
pub async fn stream(app: Arc<App>, key: ApiKey, asked: Asked) -> Answer {
    let base = asked.submission.public_url.clone();
    let job = submit(&app, &key, asked.submission, field_name).await?.into_job();
    crate::http::layers::note_job(job.id.as_str());
    let watcher = app.events.watch(&job.id, true);
    let guard = CancelOnDrop::new(Arc::clone(&app), key, job.id.clone());
    let start = Some(Follower { app, watcher, id: job.id.clone(), base, inline: asked.sync_mode, guard });
    let stream = unfold(start, |follower| async {
        let mut follower = follower?;
        if let Some(progress) = next_event(&follower.app, &mut follower.watcher, &follower.id).await {
            let event = Event::default().data(rendered(progress).to_string());
            return Some((Ok::<_, Infallible>(event), Some(follower)));
        }
        let Follower { app, id, base, inline, guard, .. } = follower;
        guard.disarm();
        let last = end(&app, &id, &base, inline).await.unwrap_or_else(|refusal| {
            let failed = Failed::from_refusal(&refusal);
            json!({"status": failed.status.as_u16(), "error": failed.body})
        });
        Some((Ok(Event::default().data(last.to_string())), None))
    });
    let sse = Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("ping"));
    Ok(with_job(sse.into_response(), &job))
}

fn rendered(progress: Progress) -> Value {
    match progress {
        Progress::Stage(stage) => json!({"images": [], "progress": {"stage": stage}}),
        Progress::Step { done, total } => json!({"images": [], "progress": {"step": done, "total": total}}),
        Progress::Preview(jpeg) => {
            let url = format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg));
            json!({"images": [{"url": url, "content_type": "image/jpeg"}], "progress": {"preview": true}})
        }
    }
}

async fn end(app: &App, id: &JobId, base: &str, inline: bool) -> Result<Value, Refusal> {
    let job = app.store.job(id).await?.ok_or(Refusal::Internal)?;
    if let Some(failed) = Failed::of_job(&job) {
        return Ok(json!({"status": failed.status.as_u16(), "error": failed.body}));
    }
    let output =
        if inline { Output::inlined(app, &job).await? } else { Output::with_addresses(&job, base, &app.links) };
    serde_json::to_value(output).map_err(|_| Refusal::Internal)
}
