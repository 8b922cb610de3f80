//! The queue's executor: pictures are read, the engine processes compute, progress goes to whoever watches.

use crate::protocol::{FailureKind, GenerationFailure, Summary};
use crate::sources::read_sources;
use crate::supervisor::{EngineProcesses, Outcome, Work};
use afterimage_core::{OutputFormat, bounded};
use afterimage_jobs::progress::Events;
use afterimage_jobs::worker::{Control, Encoded, Execution, Executor, Produced};
use afterimage_jobs::{Blobs, Failure, FailureKind as JobFailureKind, Job};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;

/// Runs jobs in engine processes.
#[derive(Debug)]
pub struct EngineExecutor {
    processes: Arc<EngineProcesses>,
    blobs: Blobs,
    events: Events,
}

impl EngineExecutor {
    /// Runs jobs in `processes`, reads their pictures from `blobs` and publishes progress to `events`.
    pub const fn new(processes: Arc<EngineProcesses>, blobs: Blobs, events: Events) -> Self {
        Self { processes, blobs, events }
    }
}

#[async_trait]
impl Executor for EngineExecutor {
    async fn execute(&self, job: &Job, control: &Control) -> Execution {
        let attempt = self.events.begin(&job.id);
        let sources = tokio::select! {
            biased;
            () = control.cancel.cancelled() => return Execution::Cancelled,
            () = control.abandon.cancelled() => return Execution::HandedBack,
            sources = read_sources(&self.blobs, job) => match sources {
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
    let encoded = |bytes| Encoded {
        bytes,
        content_type: format.media_type().to_owned(),
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
