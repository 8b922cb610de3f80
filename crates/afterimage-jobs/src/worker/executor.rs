//! What runs a job: implemented by whoever owns engines.

use crate::{Failure, Job, JobResult};
use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// Runs jobs.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Runs one job to its end. It loads the job's sources itself; all of them are blobs by now.
    async fn execute(&self, job: &Job, control: &Control) -> Execution;

    /// What an execution made has become the result of its job, this time and for good: for whoever counts.
    fn recorded(&self, result: &JobResult) {
        let _ = result;
    }
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
#[derive(Clone, Debug)]
pub enum Execution {
    /// With pictures.
    Succeeded(Produced),
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
#[derive(Clone, Debug)]
pub struct Produced {
    /// Files, in the order of the generation.
    pub pictures: Vec<Encoded>,
    /// The seed that was used.
    pub seed: u64,
    /// Time in the engine, milliseconds.
    pub inference_ms: u64,
    /// Stages and their milliseconds.
    pub timings: serde_json::Value,
    /// Anything else that is worth telling.
    pub facts: serde_json::Value,
}

/// One encoded picture.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The file.
    pub bytes: Bytes,
    /// `image/png` or `image/jpeg`.
    pub content_type: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}
