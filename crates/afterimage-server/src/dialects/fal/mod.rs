//! fal: synchronous requests, a queue with status, result and cancelling, streams, and the helpers of its clients.

pub(crate) mod call_token;
pub(crate) mod cdn;
pub mod error;
pub(crate) mod files;
mod lifecycle;
mod models;
pub mod output;
mod path;
mod proxy;
mod requests;
pub mod status;
mod stream;
mod submission;
pub mod token;
pub(crate) mod uploads;
pub(crate) mod webhook;

pub use call_token::PARAMETER as CALL_TOKEN;
pub use error::Shape;
pub use models::MODELS;

use crate::app::App;
use crate::auth::Gate;
use crate::error_shape::{ErrorShape, enclosed, with_fallbacks};
use crate::refusal::Refusal;
use crate::submit::submit;
use crate::text::cut;
use crate::wait::submit_and_wait;
use afterimage_jobs::{ApiKey, Job};
use axum::extract::{Extension, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router, middleware};
use call_token::require_key_or_token;
use error::{Answer, BILLABLE_UNITS};
use models::field_name;
use path::{Part, Target};
use serde_json::json;
use status::Ticket;
use std::sync::Arc;
use submission::{Asked, model, read, timed_out};
use token::Caller;

/// The dialect's name in the store.
pub const DIALECT: &str = "fal";

/// Carries the id of the request that an answer is about.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-fal-request-id");

/// What a submit to a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Waits for the result.
    Run,
    /// Returns a ticket.
    Queue,
    /// The field `sync_mode` decides between the two.
    Gateway,
}

/// Everything of this dialect. The proxy reaches all of it.
pub fn router(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .nest("/fal-ai", form(app, Form::Run))
        .nest("/queue/fal-ai", form(app, Form::Queue))
        .nest("/gateway/fal-ai", form(app, Form::Gateway))
        .merge(files::router(app));
    let foreign = |request: Request| async move {
        let path = cut(request.uri().path(), 200);
        Shape::respond(&Refusal::NotFound(format!("Path {path} not found; the models here begin with fal-ai/")))
    };
    let proxy = any(proxy::forward).with_state(routes.clone().fallback(foreign));
    routes.route("/api/fal/proxy", proxy)
}

fn form(app: &Arc<App>, form: Form) -> Router {
    let gate = Gate { app: Arc::clone(app), render: Shape::respond };
    let routes = with_fallbacks::<Shape, _>(Router::new().route("/{*path}", any(answer)))
        .layer(middleware::from_fn_with_state(gate, require_key_or_token));
    enclosed::<Shape, _>(routes).with_state((Arc::clone(app), form))
}

async fn answer(
    State((app, form)): State<(Arc<App>, Form)>,
    Extension(key): Extension<ApiKey>,
    caller: Option<Extension<Caller>>,
    Path(path): Path<String>,
    request: Request,
) -> Answer {
    let unknown = || Refusal::NotFound(format!("Path /{} not found", cut(&path, 200)));
    let caller = caller.as_ref().map(|Extension(caller)| caller);
    let form = if form == Form::Run && is_queue_host(request.headers()) { Form::Queue } else { form };
    match path::parse(&path).ok_or_else(unknown)? {
        Target::Request { .. } if form == Form::Run => Err(unknown().into()),
        Target::Request { id, part } => about_request(app, key, caller, &id, part, request.into_parts().0).await,
        Target::Stream(_) if form != Form::Run => Err(unknown().into()),
        Target::Model(_) | Target::Stream(_) if request.method() != Method::POST => {
            Err(Refusal::MethodNotAllowed.into())
        }
        Target::Stream(id) => {
            call_token::check(caller, &id)?;
            let asked = read(&app, &key.id, model(&app, &id)?, request).await?;
            stream::stream(app, key, asked).await
        }
        Target::Model(id) => {
            call_token::check(caller, &id)?;
            let asked = read(&app, &key.id, model(&app, &id)?, request).await?;
            match form {
                Form::Run => {
                    let inline = asked.sync_mode;
                    run(&app, &key, asked, inline).await
                }
                Form::Queue => queue(&app, &key, asked).await,
                Form::Gateway => gateway(&app, &key, asked).await,
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
    app: Arc<App>,
    key: ApiKey,
    caller: Option<&Caller>,
    id: &str,
    part: Part,
    request: Parts,
) -> Answer {
    let wanted = if part == Part::Cancel { Method::PUT } else { Method::GET };
    let logs = requests::wants_logs(request.uri.query());
    if request.method != wanted {
        return Err(Refusal::MethodNotAllowed.into());
    }
    let job = match requests::own_request(&app, &key, id).await {
        Ok(job) => job,
        Err(refusal) if part == Part::Cancel => return Ok(requests::not_found_to_cancel(refusal)),
        Err(refusal) => return Err(refusal.into()),
    };
    call_token::check(caller, &job.model)?;
    let base = app.public_url.for_request(&request.headers);
    match part {
        Part::Result => requests::result(&app, &job, &base).await,
        Part::Status => requests::status(&app, &job, &base, logs).await,
        Part::StatusStream => Ok(requests::status_stream(app, &job, base, logs)),
        Part::Cancel => requests::cancel_request(&app, &key, &job).await,
    }
}

async fn run(app: &Arc<App>, key: &ApiKey, asked: Asked, inline: bool) -> Answer {
    let base = asked.submission.public_url.clone();
    let job = submit_and_wait(app, key, asked.submission, field_name).await?;
    if !job.state.is_terminal() {
        return Ok(with_job(timed_out(app, &job).into_response(), &job));
    }
    requests::finished(app, &job, &base, inline).await
}

async fn queue(app: &App, key: &ApiKey, asked: Asked) -> Answer {
    let base = asked.submission.public_url.clone();
    let job = submit(app, key, asked.submission, field_name).await?.into_job();
    crate::http::layers::note_job(job.id.as_str());
    Ok(with_job(Json(Ticket::of(app, &job, &base).await?).into_response(), &job))
}

/// Behind gateways `sync_mode` says whether to wait; the results are addresses either way.
async fn gateway(app: &Arc<App>, key: &ApiKey, mut asked: Asked) -> Answer {
    asked.submission.input["sync_mode"] = json!(false);
    if asked.sync_mode { run(app, key, asked, false).await } else { queue(app, key, asked).await }
}

/// Adds the headers about `job` to `response`.
fn with_job(mut response: Response, job: &Job) -> Response {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(job.id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    let pictures = job.result.iter().flat_map(|result| &result.outputs);
    // As the service counts: started megapixels.
    let units: u64 = pictures.map(|file| (u64::from(file.width) * u64::from(file.height)).div_ceil(1_000_000)).sum();
    if units > 0 {
        headers.insert(BILLABLE_UNITS, HeaderValue::from(units));
    }
    response
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
