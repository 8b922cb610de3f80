//! The queue's executor: pictures are read, the engine processes compute, progress goes to whoever watches.

use crate::protocol::Work;
use crate::sources::read_sources;
use crate::supervisor::EngineProcesses;
use afterimage_core::bounded;
use afterimage_jobs::progress::Events;
use afterimage_jobs::worker::{Control, Execution, Executor};
use afterimage_jobs::{Blobs, Failure, FailureKind, Job};
use async_trait::async_trait;
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
    fn takes_jobs(&self, slot: usize) -> bool {
        self.processes.is_kept(slot)
    }

    async fn execute(&self, job: &Job, control: &Control) -> Execution {
        let attempt = self.events.begin(&job.id, job.attempt);
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
            Execution::Succeeded(made) if made.files.len() != made.facts.pictures.len() => {
                let (files, pictures) = (made.files.len(), made.facts.pictures.len());
                let message = format!("{files} files with facts of {pictures} pictures");
                Execution::Failed(for_the_client(job, Failure::new(FailureKind::Engine, message)))
            }
            Execution::Failed(failure) => Execution::Failed(for_the_client(job, failure)),
            end @ (Execution::Succeeded(_)
            | Execution::Cancelled
            | Execution::HandedBack
            | Execution::Crashed { .. }) => end,
        }
    }
}

/// Clients learn what is wrong with their requests; what is wrong with the server, with its paths, is for the log.
fn for_the_client(job: &Job, failure: Failure) -> Failure {
    let Failure { kind, field, message } = failure;
    let told = match kind {
        FailureKind::Model if job.spec.request.loras.is_empty() => "the installed model cannot be used",
        FailureKind::Model => "the installed model cannot be used with these LoRAs",
        FailureKind::Engine => "the engine failed",
        FailureKind::SafetyChecker => "the safety checker failed",
        FailureKind::BadInput
        | FailureKind::ContentRejected
        | FailureKind::SourceUnavailable
        | FailureKind::Crashed
        | FailureKind::Storage
        | FailureKind::StartTimeout
        | FailureKind::Internal => return Failure { kind, field, message: bounded(&message).into_owned() },
    };
    tracing::error!(job_id = %job.id, message, "{told}");
    Failure::new(kind, told)
}
