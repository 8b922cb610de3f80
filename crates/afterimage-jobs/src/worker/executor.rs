//! What runs a job: implemented by whoever owns engines.

use crate::{Failure, Job, JobResult};
use afterimage_core::GenerationFacts;
use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// Runs jobs.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Runs one job to its end. It loads the job's sources itself; all of them are blobs by now.
    async fn execute(&self, job: &Job, control: &Control) -> Execution;

    /// Whether slot `slot` should claim jobs: there is something that would run them.
    fn takes_jobs(&self, slot: usize) -> bool {
        let _ = slot;
        true
    }

    /// What an execution led to has become the end of `job`, this time and for good: for whoever counts.
    fn recorded(&self, job: &Job, end: RecordedEnd<'_>) {
        let _ = (job, end);
    }
}

/// An end that a worker wrote down.
#[derive(Clone, Copy, Debug)]
pub enum RecordedEnd<'a> {
    /// With a result.
    Succeeded(&'a JobResult),
    /// Without one.
    Failed(&'a Failure),
}

/// What an execution must listen to.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// Somebody wants the job's end: stop within one step and return [`Execution::Cancelled`].
    pub cancel: CancellationToken,
    /// The work is no longer wanted here (the lease was lost, or the process shuts down): stop within one step and
    /// return [`Execution::HandedBack`].
    pub abandon: CancellationToken,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Execution {
    /// With pictures.
    Succeeded(Box<Produced>),
    /// With a failure that another try would not change.
    Failed(Failure),
    /// On request.
    Cancelled,
    /// What ran it died.
    Crashed {
        /// How, for the log and for the client when the job is given up.
        message: String,
    },
    /// Stopped in good order without an end; somebody else will run it.
    HandedBack,
}

/// What an execution made.
#[derive(Clone, Debug, PartialEq)]
pub struct Produced {
    /// About the generation and each of its pictures.
    pub facts: GenerationFacts,
    /// The encoded files, one for each of [`GenerationFacts::pictures`].
    pub files: Vec<Bytes>,
}
