//! Counts what an executor made.

use super::metrics::Metrics;
use afterimage_jobs::Job;
use afterimage_jobs::worker::{Control, Execution, Executor, RecordedEnd};
use async_trait::async_trait;
use std::sync::Arc;

/// An executor whose ends are noted in the metrics.
pub struct Counted {
    /// Runs the jobs.
    pub executor: Arc<dyn Executor>,
    /// Told what came of each job.
    pub metrics: Arc<Metrics>,
}

#[async_trait]
impl Executor for Counted {
    async fn execute(&self, job: &Job, control: &Control) -> Execution {
        self.executor.execute(job, control).await
    }

    fn takes_jobs(&self, slot: usize) -> bool {
        self.executor.takes_jobs(slot)
    }

    fn recorded(&self, job: &Job, end: RecordedEnd<'_>) {
        self.executor.recorded(job, end);
        self.metrics.ended(job, end);
    }
}
