//! The queue's executor: sources are read, the engine processes compute, progress goes to whoever watches.

use super::events::Events;
use super::protocol::{FailureKind, GenerationFailure, Summary};
use super::supervisor::{EngineProcesses, Outcome, Work};
use crate::bounded::bounded;
use afterimage_jobs::worker::{Control, Encoded, Execution, Executor, Produced};
use afterimage_jobs::{Failure, FailureKind as JobFailureKind, Job, OutputFormat, Source};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;

/// Reads a job's source pictures, by the rules for blobs and for addresses that clients name.
#[async_trait]
pub trait SourceReader: Send + Sync + 'static {
    /// The encoded file of `source`. The future is dropped when the job is cancelled.
    ///
    /// # Errors
    /// What the job fails with.
    async fn read(&self, job: &Job, source: &Source) -> Result<Bytes, Failure>;
}

/// Runs jobs in engine processes.
pub struct EngineExecutor<R> {
    processes: Arc<EngineProcesses>,
    sources: R,
    events: Events,
}

impl<R: SourceReader> EngineExecutor<R> {
    /// Runs jobs in `processes`, reads their pictures by `sources` and publishes progress to `events`.
    pub fn new(processes: Arc<EngineProcesses>, sources: R, events: Events) -> Self {
        Self { processes, sources, events }
    }

    async fn read_sources(&self, job: &Job) -> Result<Vec<Bytes>, Failure> {
        let mut files = Vec::with_capacity(job.spec.sources.len());
        for source in &job.spec.sources {
            files.push(self.sources.read(job, source).await?);
        }
        Ok(files)
    }
}

#[async_trait]
impl<R: SourceReader> Executor for EngineExecutor<R> {
    /// The slot does not matter: whichever process is ready takes the job.
    async fn execute(&self, _slot: usize, job: &Job, control: &Control) -> Execution {
        let attempt = self.events.begin(&job.id);
        let sources = tokio::select! {
            biased;
            () = control.cancel.cancelled() => return Execution::Cancelled,
            () = control.abandon.cancelled() => return Execution::HandedBack,
            sources = self.read_sources(job) => match sources {
                Ok(sources) => sources,
                Err(failure) => return Execution::Failed(failure),
            },
        };
        let format = job.spec.output.format;
        let tenant = job.key.to_string();
        let work = Work { tenant, request: job.spec.request.clone(), format, sources };
        match self.processes.generate(work, control, attempt).await {
            Outcome::Done { summary, files } => Execution::Succeeded(produced(&summary, files, format)),
            Outcome::Failed(failure) => Execution::Failed(failure_for_the_client(job, failure)),
            Outcome::Cancelled => Execution::Cancelled,
            Outcome::HandedBack => Execution::HandedBack,
            Outcome::Crashed { reason } => Execution::Crashed { message: reason },
        }
    }
}

fn produced(summary: &Summary, files: Vec<Bytes>, format: OutputFormat) -> Produced {
    let content_type = match format {
        OutputFormat::Png => "image/png",
        OutputFormat::Jpeg => "image/jpeg",
    };
    let encoded = |bytes| Encoded {
        bytes,
        content_type: content_type.to_owned(),
        width: summary.size.width,
        height: summary.size.height,
    };
    let mut timings = json!(summary.timings);
    timings["files_ms"] = json!(summary.files_ms);
    Produced {
        pictures: files.into_iter().map(encoded).collect(),
        seed: summary.seed,
        inference_ms: summary.timings.total_ms.round() as u64,
        timings,
        facts: json!({
            "model": summary.model.name,
            "device": summary.model.device,
            "dtype": summary.model.dtype,
            "steps_run": summary.steps_run,
            "image_cached": summary.image_cached,
            "text_cached": summary.text_cached,
        }),
    }
}

/// Clients learn what is wrong with their requests; what is wrong with the server, with its paths, is for the log.
fn failure_for_the_client(job: &Job, failure: GenerationFailure) -> Failure {
    let GenerationFailure { kind, field, message } = failure;
    match kind {
        FailureKind::Request => {
            Failure { kind: JobFailureKind::BadInput, field, message: bounded(&message).into_owned() }
        }
        FailureKind::Model => {
            tracing::error!(job_id = %job.id, message, "the installed model cannot be used");
            Failure::new(JobFailureKind::Engine, "the installed model cannot be used")
        }
        FailureKind::Engine => {
            tracing::error!(job_id = %job.id, message, "the engine failed");
            Failure::new(JobFailureKind::Engine, "the engine failed")
        }
    }
}
