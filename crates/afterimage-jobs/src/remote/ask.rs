//! Asking the process that runs a job: what other hosts' watchers are told beyond what the database knows.

use crate::progress::{Event, Noted};
use crate::{JobId, RunPlace};
use async_trait::async_trait;
use futures_util::stream::BoxStream;

/// Why a process did not answer. Nothing depends on its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

/// Asks other processes.
#[async_trait]
pub trait AskProcess: Send + Sync {
    /// What happens to attempt `attempt` at `job`, from what is known of it on, until it is over or the process cannot be
    /// reached any more. Previews are made for it only if they are wanted.
    ///
    /// # Errors
    /// [`NoAnswer`]: it cannot be reached, it refuses, or it runs another attempt.
    async fn events(
        &self,
        place: &RunPlace,
        job: &JobId,
        attempt: u32,
        previews: bool,
    ) -> Result<BoxStream<'static, Event>, NoAnswer>;

    /// What happened to `job` there, oldest first.
    ///
    /// # Errors
    /// [`NoAnswer`].
    async fn history(&self, place: &RunPlace, job: &JobId) -> Result<Vec<Noted>, NoAnswer>;
}
