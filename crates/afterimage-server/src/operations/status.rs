//! What runs jobs, and what becomes of flagged pictures.

use afterimage_core::OnFlag;
use afterimage_jobs::remote::ProcessFacts;
use afterimage_jobs::worker::{EngineStatus, Engines};
use afterimage_jobs::{PostgresStore, Timestamp};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What becomes of results where safety checkers look at them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SafetyPolicy {
    /// What becomes of a flagged picture.
    pub on_flag: OnFlag,
    /// Whether every picture must have been looked at.
    pub required: bool,
}

/// What the server runs.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ServerStatus {
    /// The engine processes.
    engines: Vec<ShownEngine>,
    /// Servers and workers that use the same database; empty where none other can.
    processes: Vec<ShownProcess>,
    /// What safety checkers lead to.
    safety: ShownPolicy,
}

/// An engine process.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EngineProcess)]
struct ShownEngine {
    /// Name of the set of models that it runs; `default` for the one without a name.
    model: String,
    /// What it computes on, such as `cpu` or `cuda:1`; while it is not open, what it was told to.
    device: String,
    /// Whether it takes a job now or after the one that it runs.
    open: bool,
    /// Whether its device failed too often, so that it is not started again before the server is.
    given_up: bool,
    /// How often it was started again after a death.
    restarts: u64,
    /// Names of the safety checkers that look at its results; empty: none does. Null while it is not open.
    checkers: Option<Vec<String>>,
    /// What becomes of its networks' memory, a line for people. Null while it is not open, or where that is not known.
    memory: Option<String>,
}

/// A server or worker.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = HostProcess)]
struct ShownProcess {
    /// `serve` or `worker`.
    role: String,
    /// What its machine is called.
    host: String,
    /// The program's version.
    version: String,
    /// The sets of models that it runs jobs of; `default` for the one without a name.
    models: Vec<String>,
    /// Jobs that it runs at once.
    slots: usize,
    /// Of these, how many have an engine that takes jobs.
    ready: usize,
    /// What they compute on, each once; empty where an older program does not say.
    devices: Vec<String>,
    /// When it was last heard of: milliseconds since 1970 by the database's clock.
    seen_at: i64,
}

/// What safety checkers lead to.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SafetyPolicy)]
struct ShownPolicy {
    /// What becomes of a flagged picture: `withhold`: a black one takes its place; `blur`: it is blurred; `keep`: it stays.
    on_flag: &'static str,
    /// Whether requests cannot go without the check, and fail when their pictures cannot be checked.
    required: bool,
}

impl From<EngineStatus> for ShownEngine {
    fn from(status: EngineStatus) -> Self {
        let EngineStatus { model, device, queues: _, is_open, is_given_up, restarts, checkers, memory } = status;
        let checkers = is_open.then_some(checkers);
        Self { model, device, open: is_open, given_up: is_given_up, restarts, checkers, memory }
    }
}

/// What another version says in another way is left out.
fn shown_process(facts: &str, seen: Timestamp) -> Option<ShownProcess> {
    let ProcessFacts { id: _, role, host, version, models, slots, ready, devices } =
        serde_json::from_str(facts).ok()?;
    Some(ShownProcess { role, host, version, models, slots, ready, devices, seen_at: seen.0 })
}

/// What the status is read from. Clones share all of it.
#[derive(Clone)]
pub struct StatusSources {
    /// What runs jobs.
    pub engines: Arc<dyn Engines>,
    /// What becomes of flagged pictures.
    pub policy: SafetyPolicy,
    /// Who else uses the database; `None` where nobody can.
    pub shared: Option<PostgresStore>,
}

impl StatusSources {
    /// Processes that were heard of lately. A list that cannot be had is an empty one: it decides nothing.
    async fn processes(&self) -> Vec<ShownProcess> {
        let Some(store) = &self.shared else { return Vec::new() };
        let listed = store.processes().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the list of processes cannot be read");
            Vec::new()
        });
        listed.into_iter().filter_map(|(facts, seen)| shown_process(&facts, seen)).collect()
    }

    /// What the server runs now.
    pub async fn status(&self) -> ServerStatus {
        let on_flag = match self.policy.on_flag {
            OnFlag::Withhold => "withhold",
            OnFlag::Blur => "blur",
            OnFlag::Keep => "keep",
        };
        ServerStatus {
            engines: self.engines.statuses().into_iter().map(ShownEngine::from).collect(),
            processes: self.processes().await,
            safety: ShownPolicy { on_flag, required: self.policy.required },
        }
    }
}

/// The engine processes, their safety checkers, and the policy
#[utoipa::path(get, path = "/status", tag = "operations", responses((status = 200, description = "What the server runs", body = ServerStatus)))]
pub async fn status(State(sources): State<StatusSources>) -> Json<ServerStatus> {
    Json(sources.status().await)
}

/// The route, for those who have a key or reach the admin listener.
pub fn router(sources: StatusSources) -> Router {
    Router::new().route("/status", get(status)).with_state(sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_engine_that_is_not_open_is_not_called_unchecked() {
        let engine = |is_open, checkers: &[&str]| EngineStatus {
            model: "dev".to_owned(),
            device: "cuda:1".to_owned(),
            queues: Vec::new(),
            is_open,
            is_given_up: false,
            restarts: 2,
            checkers: checkers.iter().map(|name| (*name).to_owned()).collect(),
            memory: is_open.then(|| "at most 6.1 GB".to_owned()),
        };
        let shown = |status: EngineStatus| serde_json::to_value(ShownEngine::from(status)).unwrap();
        let with = |open: bool, checkers| {
            let memory = open.then_some("at most 6.1 GB");
            json!({"model": "dev", "device": "cuda:1", "open": open, "given_up": false, "restarts": 2, "checkers": checkers,
                "memory": memory})
        };
        assert_eq!(shown(engine(true, &["open_nsfw", "falconsai"])), with(true, json!(["open_nsfw", "falconsai"])));
        assert_eq!(shown(engine(true, &[])), with(true, json!([])));
        assert_eq!(shown(engine(false, &[])), with(false, json!(null)));
    }
}
