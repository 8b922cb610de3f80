//! A job, from what was asked for to what came of it.

use crate::trace::TraceParent;
use crate::{Failure, JobId, JobResult, KeyId, Rates, Timestamp, WorkerId};
use afterimage_core::{GenerationRequest, OutputFormat, Task};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a dialect hands to the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Drawn by the caller, so that input blobs can be stored under it first.
    pub id: JobId,
    /// Who asks.
    pub key: KeyId,
    /// The dialect's name, for rendering and webhooks.
    pub dialect: String,
    /// The model's id in that dialect.
    pub model: String,
    /// What the client sent, cleaned for echoing: no secrets, no inlined pictures.
    pub input: serde_json::Value,
    /// What the worker needs.
    pub spec: JobSpec,
    /// Where to report the end.
    pub webhook: Option<Webhook>,
    /// Makes a repeated submit find the first one's job.
    pub idempotency: Option<Idempotency>,
    /// Head start in the queue.
    pub priority: Priority,
    /// The key's own end user, for summing costs.
    pub user: Option<String>,
    /// Price in millionths of a dollar by what is known at the submit. What is due on success follows from the result,
    /// see [`JobSpec::rates`].
    pub cost_micros: i64,
    /// Bytes of the input blobs that were stored for it.
    pub input_bytes: u64,
    /// The job fails with [`crate::FailureKind::StartTimeout`] unless a worker takes it within this time.
    pub start_within: Option<Duration>,
    /// Deleted this long after its end, if that comes before the general rule; not while a webhook of it is open.
    pub kept_for: Option<Duration>,
}

/// What the worker needs to run a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The generation itself.
    pub request: GenerationRequest,
    /// Input pictures in order.
    pub sources: Vec<Source>,
    /// What to make of the pixels.
    pub output: OutputSpec,
    /// What addresses in reports about the job start with: where its submit came in. Readers of the report have no
    /// request to tell it from.
    #[serde(default)]
    pub public_url: String,
    /// The rates that the submit promised. Without them the price of the submit holds.
    #[serde(default)]
    pub rates: Option<Rates>,
    /// Where its submit is in a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
}

impl JobSpec {
    /// Whether some pictures have to be fetched before the job can run.
    pub fn awaits_sources(&self) -> bool {
        self.sources.iter().any(|source| matches!(source, Source::Url { .. }))
    }

    /// Price of `result` in millionths of a dollar: of the pictures that were made, not of those that were expected.
    pub(crate) fn cost_of(&self, result: &JobResult) -> Option<i64> {
        let (rates, first) = (self.rates?, result.facts.pictures.first()?);
        let pictures = u32::try_from(result.facts.pictures.len()).unwrap_or(u32::MAX);
        Some(rates.micros(first.size, self.request.steps, pictures))
    }

    /// A spec that says nothing: what a deleted job is left with.
    pub fn emptied() -> Self {
        Self {
            request: GenerationRequest::new(Task::TextToImage),
            sources: Vec::new(),
            output: OutputSpec { format: OutputFormat::Png },
            public_url: String::new(),
            rates: None,
            trace: None,
        }
    }
}

/// Where an input picture is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Already stored with us.
    Blob {
        /// Blob path.
        path: String,
    },
    /// To be fetched before a worker takes the job, by rules that are not the queue's.
    Url {
        /// As the client gave it.
        url: String,
    },
}

/// What to make of the pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// File format.
    pub format: OutputFormat,
}

/// Where to report a job's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// As the client gave it.
    pub url: String,
    /// Whose payload and signature to use.
    pub dialect: String,
}

/// Names a submit, so that its repetition finds the same job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The client's key; unique per API key while the job is kept.
    pub key: String,
    /// Digest of the body. The same key with another digest is a conflict.
    pub fingerprint: String,
}

/// Head start in the queue. It is worth a fixed amount of work, so a low job is overtaken by boundedly many others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// After others that came with it.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before others that came with it.
    High,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker.
    Queued,
    /// A worker holds a lease on it.
    Running,
    /// Has a result.
    Succeeded,
    /// Has a [`Failure`].
    Failed,
    /// Ended on request.
    Cancelled,
}

impl JobState {
    /// Whether the job has ended; such a state never changes again.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// A job as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// See [`NewJob::id`].
    pub id: JobId,
    /// See [`NewJob::key`].
    pub key: KeyId,
    /// See [`NewJob::dialect`].
    pub dialect: String,
    /// See [`NewJob::model`].
    pub model: String,
    /// See [`NewJob::input`]; null when the job was deleted.
    pub input: serde_json::Value,
    /// See [`NewJob::spec`]; [`JobSpec::emptied`] when the job was deleted.
    pub spec: JobSpec,
    /// See [`NewJob::webhook`].
    pub webhook: Option<Webhook>,
    /// See [`NewJob::priority`].
    pub priority: Priority,
    /// See [`NewJob::user`].
    pub user: Option<String>,
    /// See [`NewJob::cost_micros`]; of a job that succeeded, what it cost.
    pub cost_micros: i64,
    /// See [`NewJob::input_bytes`]; with those that were fetched.
    pub input_bytes: u64,
    /// See [`NewJob::kept_for`].
    pub kept_for: Option<Duration>,
    /// When the job fails unless a worker took it before.
    pub start_by: Option<Timestamp>,
    /// Where it stands.
    pub state: JobState,
    /// Claims so far. Every claim has a number of its own: the fencing token of that claim's writes.
    pub attempt: u32,
    /// Claims and fetches that ended in [`crate::FailureKind::Storage`] and were tried again.
    pub retries: u32,
    /// Claims whose worker died or let the lease run out.
    pub unclean_ends: u32,
    /// Somebody asked for its end.
    pub cancel_requested: bool,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the latest claim was made.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What it made; present exactly in [`JobState::Succeeded`] while not deleted.
    pub result: Option<JobResult>,
    /// Why it failed; present exactly in [`JobState::Failed`].
    pub failure: Option<Failure>,
    /// Ended because too many workers died on it.
    pub quarantined: bool,
    /// Its owner or the retention rule removed it; input and result are gone. Readers answer as for a job that is
    /// not there (or that is gone).
    pub deleted: bool,
}

impl Job {
    /// A job as it is right after its submit.
    pub(crate) fn submitted(new: &NewJob, now: Timestamp) -> Self {
        Self {
            id: new.id.clone(),
            key: new.key.clone(),
            dialect: new.dialect.clone(),
            model: new.model.clone(),
            input: new.input.clone(),
            spec: new.spec.clone(),
            webhook: new.webhook.clone(),
            priority: new.priority,
            user: new.user.clone(),
            cost_micros: new.cost_micros,
            input_bytes: new.input_bytes,
            kept_for: new.kept_for,
            start_by: new.start_within.map(|limit| now.plus(limit)),
            state: JobState::Queued,
            attempt: 0,
            retries: 0,
            unclean_ends: 0,
            cancel_requested: false,
            created_at: now,
            started_at: None,
            finished_at: None,
            result: None,
            failure: None,
            quarantined: false,
            deleted: false,
        }
    }

    /// The right to write about this claim.
    pub fn lease(&self, worker: &WorkerId) -> Lease {
        Lease { job: self.id.clone(), attempt: self.attempt, worker: worker.clone() }
    }
}

/// One worker's right to write about one claim of one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Which claim of it.
    pub attempt: u32,
    /// Who claimed.
    pub worker: WorkerId,
}

/// One fetcher's right to write about one fetching of one job's pictures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchLease {
    /// The job.
    pub job: JobId,
    /// Which fetching of it.
    pub number: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_from_before_there_were_loras_are_read_and_look_the_same() {
        let old = r#"{"request":{"task":"text_to_image","prompt":null,"size":null,"steps":28,"guidance":3.5,"seed":null,"num_images":1,"enlarge":"auto"},"sources":[],"output":{"format":"png"},"public_url":"","rates":null}"#;
        let spec: JobSpec = serde_json::from_str(old).unwrap();
        assert_eq!(spec, JobSpec::emptied());
        assert_eq!(serde_json::to_string(&spec).unwrap(), old);
        let with_path = old.replace("\"prompt\"", r#""loras":[{"name":"../x","scale":1.0}],"prompt""#);
        assert!(serde_json::from_str::<JobSpec>(&with_path).is_err(), "no row brings a path in");
    }
}
