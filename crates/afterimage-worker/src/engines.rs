//! Engine processes as a server sees them.

use crate::executor::EngineExecutor;
use crate::group::{EngineGroup, EngineSet};
use crate::launch::EngineCommand;
use crate::supervisor::{EngineProcesses, ProcessState, ProcessStatus, SupervisorLimits};
use afterimage_jobs::Blobs;
use afterimage_jobs::progress::Events;
use afterimage_jobs::worker::{EngineStatus, Engines, Executor, StartEngines, UnusableEngine};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

impl StartEngines for EngineCommand {
    fn start(&self, workers: usize) -> Arc<dyn Engines> {
        Arc::new(EngineProcesses::start(vec![EngineGroup::unnamed(self, workers)], SupervisorLimits::default()))
    }
}

/// Sets of models, at least one. The first also serves what names none.
#[derive(Clone, Debug)]
pub struct EngineSets(pub Vec<EngineSet>);

impl StartEngines for EngineSets {
    fn start(&self, workers: usize) -> Arc<dyn Engines> {
        Arc::new(EngineProcesses::start(EngineGroup::of_sets(&self.0, workers), SupervisorLimits::default()))
    }
}

#[async_trait]
impl Engines for EngineProcesses {
    fn executor(self: Arc<Self>, blobs: Blobs, events: Events) -> Arc<dyn Executor> {
        Arc::new(EngineExecutor::new(self, blobs, events))
    }

    fn statuses(&self) -> Vec<EngineStatus> {
        let seen = |(group, process): (&EngineGroup, ProcessStatus)| {
            let open = process.state.open();
            EngineStatus {
                model: group.label().to_owned(),
                device: open.map_or_else(|| group.device(), |open| open.model.device.clone()),
                queues: group.queues.clone(),
                is_open: open.is_some(),
                is_given_up: matches!(process.state, ProcessState::GivenUp { .. }),
                restarts: process.restarts,
                checkers: open.map_or_else(Vec::new, |open| open.model.checkers.clone()),
                memory: open.map(|open| open.memory.clone()),
            }
        };
        self.with_groups().map(seen).collect()
    }

    async fn unusable(&self) -> UnusableEngine {
        let (group, failure) = Self::unusable(self).await;
        UnusableEngine { model: group.model().cloned(), message: failure.message }
    }

    async fn shut_down(&self, deadline: Duration) {
        self.stop(deadline).await;
    }
}
