//! Counts what an executor made.

use super::metrics::Metrics;
use afterimage_jobs::worker::{Control, Execution, Executor};
use afterimage_jobs::{Job, JobResult};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// An executor whose results are noted in the metrics.
pub struct Counted {
    /// Runs the jobs.
    pub executor: Arc<dyn Executor>,
    /// Told how long the engine took.
    pub metrics: Arc<Metrics>,
}

#[async_trait]
impl Executor for Counted {
    async fn execute(&self, job: &Job, control: &Control) -> Execution {
        self.executor.execute(job, control).await
    }

    fn recorded(&self, result: &JobResult) {
        self.executor.recorded(result);
        self.metrics.inferred(Duration::from_millis(result.inference_ms()));
    }
}
