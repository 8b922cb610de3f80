//! `/stream`: a synchronous request that tells how far it is.

use super::error::{Answer, Failed};
use super::models::field_name;
use super::output::Output;
use super::responses::with_job;
use super::submission::{CheckedCall, timed_out};
use crate::files::ResultFiles;
use crate::follow::{JobUpdate, SyncRunner, event_stream};
use crate::refusal::Refusal;
use afterimage_jobs::progress::Event as Progress;
use afterimage_jobs::{ApiKey, Job};
use axum::response::sse::Event;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::unfold;
use serde_json::{Value, json};

/// Queues what was asked for and streams its progress: values with `progress`, some with a preview in `images`, and the
/// output as the last one. For clients that hang up see [`Following`].
pub async fn stream(sync: &SyncRunner, files: ResultFiles, key: ApiKey, call: CheckedCall) -> Answer {
    let (base, inline) = (call.submission.public_url.clone(), call.sync_mode);
    let following = sync.follow(&key, call.submission, field_name, true).await?;
    let job = following.job().clone();
    // Until the last value has been sent.
    let start = Some((sync.clone(), files, following, base));
    let stream = unfold(start, move |state| async move {
        let (sync, files, mut following, base) = state?;
        let last = match following.next().await {
            Ok(JobUpdate::Progress(progress)) => {
                let event = Event::default().data(rendered(progress).to_string());
                return Some((event, Some((sync, files, following, base))));
            }
            Ok(JobUpdate::Over(job)) => {
                // Also when the server stops: the last value says where the result will be.
                following.let_go();
                end(&sync, &files, &job, &base, inline).await
            }
            Err(refusal) => Err(refusal),
        };
        let last = last.unwrap_or_else(|refusal| failure(&Failed::from_refusal(&refusal)));
        Some((Event::default().data(last.to_string()), None))
    });
    Ok(with_job(event_stream(stream), &job))
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

fn failure(failed: &Failed) -> Value {
    json!({"status": failed.status.as_u16(), "error": failed.body})
}

async fn end(sync: &SyncRunner, files: &ResultFiles, job: &Job, base: &str, inline: bool) -> Result<Value, Refusal> {
    if !job.state.is_terminal() {
        return Ok(failure(&timed_out(sync, job)));
    }
    if let Some(failed) = Failed::of_job(job) {
        return Ok(failure(&failed));
    }
    let output =
        if inline { Output::inlined(files, job).await? } else { Output::with_addresses(job, base, &files.links) };
    serde_json::to_value(output).map_err(|_| Refusal::Internal)
}
