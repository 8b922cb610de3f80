//! What is known about an engine process from outside.

use afterimage_core::ModelFacts;
use std::time::Instant;

/// One process, for `/readyz`, metrics and people.
#[derive(Clone, Debug)]
pub struct ProcessStatus {
    /// The operating system's number of the process that runs now.
    pub pid: Option<u32>,
    /// How often it was started again after a death.
    pub restarts: u64,
    /// What it does.
    pub state: ProcessState,
}

/// Models that are open.
#[derive(Clone, Debug)]
pub struct OpenEngine {
    /// What they are.
    pub model: ModelFacts,
    /// What becomes of their memory, for people.
    pub memory: String,
}

/// What an engine process does.
#[derive(Clone, Debug)]
pub enum ProcessState {
    /// Opens the models.
    Starting,
    /// Waits for a job.
    Ready(OpenEngine),
    /// Runs a job.
    Busy(OpenEngine),
    /// Died or could not start; it is started again after a pause.
    Dead {
        /// Since when.
        since: Instant,
        /// What happened.
        failure: OpenFailure,
    },
    /// Its device failed too often; it is not started again.
    GivenUp {
        /// What happened.
        failure: OpenFailure,
    },
    /// Ended for good.
    Stopped,
}

impl ProcessState {
    /// Whether it takes a job now or after the one that it runs.
    pub fn is_open(&self) -> bool {
        self.open().is_some()
    }

    /// What it runs, once that is known.
    pub const fn open(&self) -> Option<&OpenEngine> {
        match self {
            Self::Ready(open) | Self::Busy(open) => Some(open),
            Self::Starting | Self::Dead { .. } | Self::GivenUp { .. } | Self::Stopped => None,
        }
    }
}

/// Why no engine process runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OpenFailure {
    /// One line.
    pub message: String,
    /// Whether a flag or a model file is to blame, which starting again does not change.
    pub bad_input: bool,
}

impl OpenFailure {
    pub(super) fn death(message: impl Into<String>) -> Self {
        Self { message: message.into(), bad_input: false }
    }
}
