//! WaveSpeed v3: submit a task, poll its result.

pub(crate) mod account;
mod error;
pub(crate) mod events;
mod models;
mod prediction;
pub(crate) mod predictions;
mod submit;
pub(crate) mod uploads;
pub(crate) mod webhook;

pub use error::{ErrorBody, Shape};
pub use models::MODELS;
pub use prediction::{Envelope, Prediction};
pub use webhook::WebhookRenderer;

use crate::app::App;
use crate::dialects::own_job;
use crate::error_shape::{behind_key, enclosed};
use crate::refusal::Refusal;
use afterimage_jobs::{ApiKey, Job};
use axum::Router;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::sync::Arc;

/// The dialect's name in the store.
pub const DIALECT: &str = "wavespeed";

/// Routes under `/api/v3`, also served under `/api/v2` for the uploads of old clients.
pub fn router(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .route("/predictions", post(predictions::list))
        .route("/predictions/delete", post(predictions::delete))
        .route("/predictions/{id}", get(predictions::result))
        .route("/predictions/{id}/result", get(predictions::result))
        .route("/predictions/{id}/events", get(events::events))
        .route("/predictions/{id}/cancel", post(events::cancel_task))
        .route("/models", get(account::models))
        .route("/model/pricing", post(account::pricing))
        .route("/model/price", post(account::price))
        .route("/balance", get(account::balance))
        .route("/account/balance", get(account::balance))
        .route("/media/upload/binary", post(uploads::binary))
        .route("/media/uploads", post(uploads::ticket))
        .route("/webhook/secret", get(webhook::secret))
        .route("/{*model}", post(submit::submit_task));
    enclosed::<Shape, _>(behind_key::<Shape, _>(app, routes)).with_state(Arc::clone(app))
}

/// `job` as this dialect shows it, with the results themselves where base64 was asked for.
async fn render(app: &App, job: &Job, base: &str) -> Result<Prediction, Refusal> {
    let mut prediction = Prediction::new(job, base, &app.links);
    let inline = job.input.get("enable_base64_output").and_then(Value::as_bool) == Some(true);
    if let Some(result) = job.result.as_ref().filter(|_| inline) {
        prediction.outputs.clear();
        for file in &result.files {
            let bytes = app.blobs.get(&file.blob).await?.ok_or(Refusal::Unavailable)?;
            prediction.outputs.push(STANDARD.encode(bytes));
        }
    }
    Ok(prediction)
}

/// The task `id` of `key`.
async fn own_task(app: &App, key: &ApiKey, id: &str) -> Result<Job, Refusal> {
    own_job(app, key, DIALECT, "prediction", id).await
}
