//! What a server has to know of whatever runs its jobs.

use super::Executor;
use crate::progress::Events;
use crate::{Blobs, Queue};
use afterimage_core::ModelName;
use async_trait::async_trait;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// Starts engines, once the server that wants them holds its data.
pub trait StartEngines: Debug + Send + Sync {
    /// Starts engines for `workers` jobs at once on each set of models. Returns at once; [`Engines::unusable`] tells when it
    /// did not work. Called within a tokio runtime.
    fn start(&self, workers: usize) -> Arc<dyn Engines>;
}

/// Engines that are kept alive.
#[async_trait]
pub trait Engines: Debug + Send + Sync + 'static {
    /// Runs jobs whose pictures lie in `blobs`, and tells `events` how far they are.
    fn executor(self: Arc<Self>, blobs: Blobs, events: Events) -> Arc<dyn Executor>;

    /// Every engine as it is now.
    fn statuses(&self) -> Vec<EngineStatus>;

    /// Whether some engine takes a job now or after the one that it runs.
    fn is_open(&self) -> bool {
        self.statuses().iter().any(|status| status.is_open)
    }

    /// Whether nothing runs jobs of `queue` until the server starts again: there are engines for it, and the devices of all of
    /// them were given up.
    fn is_given_up(&self, queue: &Queue) -> bool {
        let statuses = self.statuses();
        let mut serving = statuses.iter().filter(|status| status.queues.contains(queue)).peekable();
        serving.peek().is_some() && serving.all(|status| status.is_given_up)
    }

    /// Completes when one of the engines turns out to be unusable for a reason that starting it again does not mend: a
    /// wrong flag or file.
    async fn unusable(&self) -> UnusableEngine;

    /// Lets running jobs finish until `deadline` has passed, hands the rest back, and ends all engines. Jobs that were
    /// not begun are handed back at once.
    async fn shut_down(&self, deadline: Duration);
}

/// One engine as seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// Name of the set of models that it runs, for logs and metrics.
    pub model: String,
    /// What it computes on, such as `cuda:1`; while it is not open, what it was told to.
    pub device: String,
    /// The queues whose jobs it runs, one at a time.
    pub queues: Vec<Queue>,
    /// Whether it takes a job now or after the one that it runs.
    pub is_open: bool,
    /// Whether it is not started again, since its device failed too often.
    pub is_given_up: bool,
    /// How often it was started again after a death.
    pub restarts: u64,
    /// Names of the safety checkers that look at results; none while it is not open.
    pub checkers: Vec<String>,
    /// What becomes of its networks' memory, for people; none while it is not open, or where that is not known.
    pub memory: Option<String>,
}

/// Why an engine will not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UnusableEngine {
    /// The set of models that it runs, if that has a name.
    pub model: Option<ModelName>,
    /// One line that names the flag or file.
    pub message: String,
}
