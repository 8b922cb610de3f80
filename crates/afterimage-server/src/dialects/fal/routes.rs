//! The dialect's routes. A path says what is meant in three ways: waiting, queued, or as a field decides.

use super::call_token::{self, require_key_or_token};
use super::error::{Answer, Shape};
use super::models::field_name;
use super::path::{self, Subresource, Target};
use super::responses::with_job;
use super::status::QueuedRequest;
use super::submission::{CheckedCall, model, read, timed_out};
use super::token::{Caller, TokenGate};
use super::{file_routes, proxy, requests, stream};
use crate::dialects::DialectParts;
use crate::error_shape::{ErrorShape, enclosed, with_fallbacks};
use crate::http::layers::note_job;
use crate::refusal::Refusal;
use crate::submit::submit;
use crate::text::cut;
use afterimage_jobs::ApiKey;
use axum::extract::{Extension, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::IntoResponse;
use axum::routing::any;
use axum::{Json, Router, middleware};
use serde_json::json;

/// What a submit to a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallMode {
    /// Waits for the result.
    Run,
    /// Returns where to ask for it.
    Queue,
    /// The field `sync_mode` decides between the two.
    Gateway,
}

/// Everything of this dialect. The proxy reaches all of it.
pub fn router(parts: &DialectParts) -> Router {
    let routes = Router::new()
        .nest("/fal-ai", calls(parts, CallMode::Run))
        .nest("/queue/fal-ai", calls(parts, CallMode::Queue))
        .nest("/gateway/fal-ai", calls(parts, CallMode::Gateway))
        .merge(file_routes::router(parts));
    let foreign = |request: Request| async move {
        let path = cut(request.uri().path(), 200);
        Shape::respond(&Refusal::NotFound(format!("Path {path} not found; the models here begin with fal-ai/")))
    };
    let proxy = any(proxy::forward).with_state(routes.clone().fallback(foreign));
    routes.route("/api/fal/proxy", proxy)
}

fn calls(parts: &DialectParts, mode: CallMode) -> Router {
    let gate = TokenGate::new(parts);
    let routes = with_fallbacks::<Shape, _>(Router::new().route("/{*path}", any(answer)))
        .layer(middleware::from_fn_with_state(gate, require_key_or_token));
    enclosed::<Shape, _>(routes).with_state((parts.clone(), mode))
}

async fn answer(
    State((parts, mode)): State<(DialectParts, CallMode)>,
    Extension(key): Extension<ApiKey>,
    caller: Option<Extension<Caller>>,
    Path(path): Path<String>,
    request: Request,
) -> Answer {
    let unknown = || Refusal::NotFound(format!("Path /{} not found", cut(&path, 200)));
    let caller = caller.as_ref().map(|Extension(caller)| caller);
    let mode = if mode == CallMode::Run && is_queue_host(request.headers()) { CallMode::Queue } else { mode };
    match path::parse(&path).ok_or_else(unknown)? {
        Target::Request { .. } if mode == CallMode::Run => Err(unknown().into()),
        Target::Request { id, part } => about_request(&parts, key, caller, &id, part, request.into_parts().0).await,
        Target::Stream(_) if mode != CallMode::Run => Err(unknown().into()),
        Target::Model(_) | Target::Stream(_) if request.method() != Method::POST => {
            Err(Refusal::MethodNotAllowed.into())
        }
        Target::Stream(id) => {
            call_token::check(caller, &id)?;
            let call = read(&parts.intake, &key.id, model(&parts.sync.submitter.models, &id)?, request).await?;
            stream::stream(&parts.sync, parts.results, key, call).await
        }
        Target::Model(id) => {
            call_token::check(caller, &id)?;
            let call = read(&parts.intake, &key.id, model(&parts.sync.submitter.models, &id)?, request).await?;
            match mode {
                CallMode::Run => {
                    let inline = call.sync_mode;
                    run(&parts, &key, call, inline).await
                }
                CallMode::Queue => queue(&parts, &key, call).await,
                CallMode::Gateway => gateway(&parts, &key, call).await,
            }
        }
    }
}

/// Whether the client addressed the queue's host, whatever comes after `queue.`.
fn is_queue_host(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    host.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("queue."))
}

async fn about_request(
    parts: &DialectParts,
    key: ApiKey,
    caller: Option<&Caller>,
    id: &str,
    part: Subresource,
    request: Parts,
) -> Answer {
    let wanted = if part == Subresource::Cancel { Method::PUT } else { Method::GET };
    let logs = requests::wants_logs(request.uri.query());
    if request.method != wanted {
        return Err(Refusal::MethodNotAllowed.into());
    }
    let job = match requests::own_request(parts.store.as_ref(), &key, id).await {
        Ok(job) => job,
        Err(refusal) if part == Subresource::Cancel => return Ok(requests::not_found_to_cancel(refusal)),
        Err(refusal) => return Err(refusal.into()),
    };
    call_token::check(caller, &job.model)?;
    let base = parts.intake.public_url.for_request(&request.headers);
    match part {
        Subresource::Result => requests::result(&parts.results, &job, &base).await,
        Subresource::Status => requests::status(&parts.sync.follower, &job, &base, logs).await,
        Subresource::StatusStream => Ok(requests::status_stream(parts.sync.follower.clone(), &job, base, logs)),
        Subresource::Cancel => requests::cancel_request(&parts.sync.follower, &key, &job).await,
    }
}

async fn run(parts: &DialectParts, key: &ApiKey, call: CheckedCall, inline: bool) -> Answer {
    let base = call.submission.public_url.clone();
    let job = parts.sync.run(key, call.submission, field_name).await?;
    if !job.state.is_terminal() {
        return Ok(with_job(timed_out(&parts.sync, &job).into_response(), &job));
    }
    requests::finished(&parts.results, &job, &base, inline).await
}

async fn queue(parts: &DialectParts, key: &ApiKey, call: CheckedCall) -> Answer {
    let base = call.submission.public_url.clone();
    let job = submit(&parts.sync.submitter, key, call.submission, field_name).await?.into_job();
    note_job(job.id.as_str());
    Ok(with_job(Json(QueuedRequest::of(parts.store.as_ref(), &job, &base).await?).into_response(), &job))
}

/// Behind gateways `sync_mode` says whether to wait; the results are addresses either way.
async fn gateway(parts: &DialectParts, key: &ApiKey, mut call: CheckedCall) -> Answer {
    call.submission.input["sync_mode"] = json!(false);
    if call.sync_mode { run(parts, key, call, false).await } else { queue(parts, key, call).await }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_has_hosts_of_its_own() {
        let is_queue =
            |host: &str| is_queue_host(&[(header::HOST, host.parse().unwrap())].into_iter().collect::<HeaderMap>());
        assert!(is_queue("queue.fal.run") && is_queue("Queue.localhost:8443"));
        assert!(!is_queue("fal.run") && !is_queue("queues.example") && !is_queue("queue"));
        assert!(!is_queue_host(&HeaderMap::new()));
    }
}
