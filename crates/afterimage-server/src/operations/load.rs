//! How much there is to do: the figure by which workers are started and stopped.

use crate::refusal::Refusal;
use afterimage_jobs::Store;
use afterimage_jobs::worker::Engines;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;

/// What the load is read from. Clones share all of it.
#[derive(Clone)]
pub struct LoadSources {
    /// Jobs.
    pub store: Arc<dyn Store>,
    /// What runs jobs in this process.
    pub engines: Arc<dyn Engines>,
}

/// The whole queue's load, whichever process is asked.
#[derive(Debug, PartialEq, Serialize)]
struct QueueLoad {
    /// Jobs waiting and running. What consumers hold must count: a figure that forgets it stops them at work.
    load: u64,
    /// Jobs waiting.
    waiting: u64,
    /// Jobs running.
    running: u64,
    /// Jobs that this process runs at once.
    slots: usize,
    /// Seconds that the job has waited that waits longest; 0 when none does.
    oldest_wait_s: f64,
}

impl LoadSources {
    async fn load(&self) -> Result<QueueLoad, Refusal> {
        let depth = self.store.queue_depth().await?;
        let oldest = self.store.oldest_wait().await?;
        Ok(QueueLoad {
            load: depth.queued + depth.running,
            waiting: depth.queued,
            running: depth.running,
            slots: self.engines.statuses().len(),
            oldest_wait_s: oldest.map_or(0.0, |wait| wait.as_secs_f64()),
        })
    }
}

/// The route, for the admin listener.
pub fn router(sources: LoadSources) -> Router {
    Router::new().route("/autoscale", get(autoscale)).with_state(sources)
}

async fn autoscale(State(sources): State<LoadSources>) -> Response {
    match sources.load().await {
        Ok(load) => Json(load).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
