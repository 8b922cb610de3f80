//! How much there is to do: the figure by which workers are started and stopped.

use super::queue_gauges::name_of;
use crate::refusal::Refusal;
use afterimage_jobs::worker::Engines;
use afterimage_jobs::{Queue, QueueLoad, Store};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// What the load is read from. Clones share all of it.
#[derive(Clone)]
pub struct LoadSources {
    /// Jobs.
    pub store: Arc<dyn Store>,
    /// What runs jobs in this process.
    pub engines: Arc<dyn Engines>,
}

/// What there is to do for processes like the one that is asked: in the queues that it serves, or in all of them where it
/// runs no jobs.
#[derive(Debug, PartialEq, Serialize)]
struct ShownLoad {
    /// Jobs waiting and running. What consumers hold must count: a figure that forgets it stops them at work.
    load: u64,
    /// Jobs waiting that could start.
    waiting: u64,
    /// Jobs running.
    running: u64,
    /// Jobs that this process runs at once.
    slots: usize,
    /// Seconds that the job has waited that waits longest; 0 when none does.
    oldest_wait_s: f64,
    /// The same by set of models.
    models: Vec<ModelLoad>,
}

/// What there is to do for one set of models.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct ModelLoad {
    /// Its name; `default` for the one without.
    model: String,
    /// Jobs waiting that could start; where hosts share a database at most 10,000 are counted.
    waiting: u64,
    /// Jobs running.
    running: u64,
    /// Seconds that the job has waited that waits longest; 0 when none does.
    oldest_wait_s: f64,
}

impl From<&QueueLoad> for ModelLoad {
    fn from(load: &QueueLoad) -> Self {
        Self {
            model: name_of(&load.queue).to_owned(),
            waiting: load.waiting,
            running: load.running,
            oldest_wait_s: seconds(load.oldest_wait),
        }
    }
}

fn seconds(wait: Option<Duration>) -> f64 {
    wait.map_or(0.0, |wait| wait.as_secs_f64())
}

/// The load in the queues `served`, or in all of them if there are none.
fn shown(loads: &[QueueLoad], served: &BTreeSet<Queue>, slots: usize) -> ShownLoad {
    let counts = |load: &&QueueLoad| served.is_empty() || served.contains(&load.queue);
    let counted: Vec<&QueueLoad> = loads.iter().filter(counts).collect();
    let (waiting, running) =
        counted.iter().fold((0, 0), |(waiting, running), load| (waiting + load.waiting, running + load.running));
    ShownLoad {
        load: waiting + running,
        waiting,
        running,
        slots,
        oldest_wait_s: seconds(counted.iter().filter_map(|load| load.oldest_wait).max()),
        models: counted.into_iter().map(ModelLoad::from).collect(),
    }
}

impl LoadSources {
    async fn load(&self) -> Result<ShownLoad, Refusal> {
        let loads = self.store.loads().await?;
        let engines = self.engines.statuses();
        let served = engines.iter().flat_map(|engine| engine.queues.clone()).collect();
        Ok(shown(&loads, &served, engines.len()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_counts_what_it_could_run_and_others_count_all() {
        let queue = |name: &str| -> Queue { Some(name.parse().unwrap()) };
        let load = |queue, waiting, running, wait| QueueLoad {
            queue,
            waiting,
            running,
            oldest_wait: Some(Duration::from_secs(wait)),
        };
        let loads = [load(queue("dev"), 3, 1, 9), load(queue("srpo"), 10, 0, 20)];
        let of_dev = shown(&loads, &BTreeSet::from([queue("dev"), None]), 2);
        assert_eq!((of_dev.load, of_dev.waiting, of_dev.running, of_dev.slots), (4, 3, 1, 2));
        assert_eq!((of_dev.oldest_wait_s, of_dev.models.len()), (9.0, 1));
        let of_all = shown(&loads, &BTreeSet::new(), 0);
        assert_eq!((of_all.load, of_all.oldest_wait_s, of_all.models.len()), (14, 20.0, 2));
        assert_eq!(shown(&[], &BTreeSet::new(), 0).load, 0);
    }
}
