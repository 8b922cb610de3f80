//! Engine processes as a server sees them.

use crate::executor::EngineExecutor;
use crate::launch::EngineCommand;
use crate::supervisor::{EngineProcesses, Limits, ProcessStatus};
use afterimage_jobs::Blobs;
use afterimage_jobs::progress::Events;
use afterimage_jobs::worker::{EngineStatus, Engines, Executor, StartEngines, UnusableEngine};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

impl StartEngines for EngineCommand {
    fn start(&self, slots: usize) -> Arc<dyn Engines> {
        Arc::new(EngineProcesses::start(self, Limits::default(), slots))
    }
}

#[async_trait]
impl Engines for EngineProcesses {
    fn executor(self: Arc<Self>, blobs: Blobs, events: Events) -> Arc<dyn Executor> {
        Arc::new(EngineExecutor::new(self, blobs, events))
    }

    fn statuses(&self) -> Vec<EngineStatus> {
        let seen =
            |process: ProcessStatus| EngineStatus { is_open: process.state.is_open(), restarts: process.restarts };
        self.processes().into_iter().map(seen).collect()
    }

    async fn unusable(&self) -> UnusableEngine {
        match self.opened().await {
            Err(failure) if failure.bad_input => UnusableEngine(failure.message),
            _ => std::future::pending().await,
        }
    }

    async fn shut_down(&self, deadline: Duration) {
        self.stop(deadline).await;
    }
}
