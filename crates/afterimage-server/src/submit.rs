//! From a checked request of any dialect to a durable job.

use crate::cost::{Rates, quote};
use crate::fetch::Outbound;
use crate::intake::{RequestPicture, own_file_gone};
use crate::loras::LoraFolders;
use crate::model_sets::ModelSets;
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use crate::storage_room::StorageRoom;
use afterimage_core::{Error as CoreError, Field, GenerationRequest, ModelName, OutputFormat, limits};
use afterimage_jobs::trace::{self, TraceParent};
use afterimage_jobs::worker::{Engines, Hints};
use afterimage_jobs::{
    ApiKey, Blobs, Idempotency, Job, JobId, JobSpec, NewJob, OutputSpec, Priority, Queue, Source, Store, Submitted,
    Webhook,
};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{Instrument, Span, field};

/// What it takes to make jobs of requests. Clones share all of it.
#[derive(Clone)]
pub struct Submitter {
    /// Where jobs are kept.
    pub store: Arc<dyn Store>,
    /// Where their pictures are kept.
    pub blobs: Blobs,
    /// Wakes workers and fetchers.
    pub hints: Arc<Hints>,
    /// Who may store how much more.
    pub room: Arc<StorageRoom>,
    /// Checks addresses of webhooks.
    pub outbound: Outbound,
    /// What a picture costs.
    pub rates: Rates,
    /// Which sets of models serve which ids.
    pub models: Arc<ModelSets>,
    /// Where requests find LoRAs by name.
    pub loras: LoraFolders,
    /// What runs jobs; none when this server only answers requests.
    pub engines: Arc<dyn Engines>,
}

/// What a dialect made of a request.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The dialect's name.
    pub dialect: &'static str,
    /// The model's id in that dialect.
    pub model: String,
    /// What the client sent, for echoing.
    pub input: Value,
    /// What to generate.
    pub request: GenerationRequest,
    /// The input pictures.
    pub pictures: Vec<RequestPicture>,
    /// File format of the results.
    pub format: OutputFormat,
    /// What addresses in reports start with.
    pub public_url: String,
    /// Where to report the end.
    pub webhook: Option<Webhook>,
    /// How the dialect calls `webhook`.
    pub webhook_name: &'static str,
    /// Makes repetitions find the first one's job.
    pub idempotency: Option<Idempotency>,
    /// Head start in the queue.
    pub priority: Priority,
    /// The key's own end user.
    pub user: Option<String>,
    /// Fail unless started within this time.
    pub start_within: Option<Duration>,
    /// How long input and result are kept after the end, if that is shorter than usual.
    pub kept_for: Option<Duration>,
}

/// How long storing all pictures of a request may take: who submits is answered within ten seconds.
const STORED_WITHIN: Duration = Duration::from_secs(9);

/// How a dialect calls the fields that the engine checks.
pub type FieldName = fn(Field) -> &'static str;

/// Makes `submission` durable and wakes a worker. Nothing is stored when it is refused.
///
/// # Errors
/// [`Refusal::Field`], with the dialect's name of the field, for a request that the engine would refuse;
/// [`Refusal::GivenUp`]; those of [`LoraFolders::check`]; [`Refusal::OverQuota`] and [`Refusal::DiskFull`]; those of the store.
pub async fn submit(
    submitter: &Submitter,
    key: &ApiKey,
    submission: Submission,
    field_name: FieldName,
) -> Result<Submitted, Refusal> {
    let span = tracing::info_span!(
        target: trace::TARGET,
        "submit",
        otel.kind = "producer",
        model = %submission.model,
        job.id = field::Empty,
    );
    submit_traced(submitter, key, submission, field_name).instrument(span).await
}

/// [`submit`], in the span that its job belongs to.
async fn submit_traced(
    submitter: &Submitter,
    key: &ApiKey,
    mut submission: Submission,
    field_name: FieldName,
) -> Result<Submitted, Refusal> {
    let unserved = || Refusal::NotFound(format!("model {:?} is not served here", submission.model));
    submission.request.model = submitter.models.queue_of(&submission.model).ok_or_else(unserved)?;
    check(&submission, submitter.models.queues(), field_name)?;
    let GenerationRequest { model, loras, .. } = &submission.request;
    if submitter.engines.is_given_up(model) {
        // A repetition asks for nothing new: it may have been done while there was a device.
        return repeated(submitter, key, &submission).await?.map(Submitted::Existing).ok_or(Refusal::GivenUp);
    }
    if let Err(refusal) = submitter.loras.check(model, loras, field_name(Field::Loras)).await {
        // A repetition asks for nothing new: what it names may be gone since the first one was taken.
        return repeated(submitter, key, &submission).await?.map(Submitted::Existing).ok_or(refusal);
    }
    if let Some(webhook) = &submission.webhook {
        submitter
            .outbound
            .on_behalf_of(&key.id)
            .check_target(&webhook.url)
            .await
            .map_err(|error| Problem::new(submission.webhook_name, ProblemKind::Malformed, error.to_string()))?;
    }
    let bytes = submission.pictures.iter().map(RequestPicture::inlined_bytes).sum();
    let reserved = submitter.room.reserve(submitter.store.as_ref(), &key.id, bytes).await;
    // A repetition asks for nothing new: its sender may not know yet that the first one filled the quota.
    if let Err(Refusal::OverQuota { .. } | Refusal::DiskFull) = &reserved
        && let Some(job) = repeated(submitter, key, &submission).await?
    {
        return Ok(Submitted::Existing(job));
    }
    let _reserved = reserved?;
    let id = JobId::random();
    let size = submission.pictures.first().and_then(RequestPicture::size);
    let cost_micros = quote(submitter.rates, &submission.request, size);
    let inputs = store_inputs_in_time(&submitter.blobs, &id, submission.pictures, field_name).await?;
    let job = NewJob {
        id: id.clone(),
        key: key.id.clone(),
        dialect: submission.dialect.to_owned(),
        model: submission.model,
        input: submission.input,
        spec: JobSpec {
            request: submission.request,
            sources: inputs.sources,
            output: OutputSpec { format: submission.format },
            public_url: submission.public_url,
            rates: Some(submitter.rates),
            trace: TraceParent::of(&Span::current()),
        },
        webhook: submission.webhook,
        idempotency: submission.idempotency,
        priority: submission.priority,
        user: submission.user,
        cost_micros,
        input_bytes: inputs.bytes,
        start_within: submission.start_within,
        kept_for: submission.kept_for,
    };
    let submitted = submitter.store.submit(job).await;
    Span::current().record("job.id", id.as_str());
    match &submitted {
        Ok(Submitted::Created(job)) if job.spec.awaits_sources() => submitter.hints.awaiting(),
        Ok(Submitted::Created(job)) => submitter.hints.submitted(&job.spec.request.model),
        Ok(Submitted::Existing(_)) | Err(_) => discard_inputs(&submitter.blobs, &id).await,
    }
    Ok(submitted?)
}

/// The job of the request that `submission` repeats, if it repeats one.
async fn repeated(submitter: &Submitter, key: &ApiKey, submission: &Submission) -> Result<Option<Job>, Refusal> {
    let Some(idempotency) = &submission.idempotency else { return Ok(None) };
    Ok(submitter.store.repeated(&key.id, idempotency).await?)
}

/// A job's pictures, as far as they are here.
#[derive(Default)]
struct Inputs {
    sources: Vec<Source>,
    /// Bytes that were stored for it.
    bytes: u64,
}

/// Stores what the job will need until it has ended. A file of ours gets a name of the job's own: its first one may go,
/// by its owner or by its age, while the job waits.
async fn store_inputs(
    blobs: &Blobs,
    id: &JobId,
    pictures: Vec<RequestPicture>,
    field_name: FieldName,
) -> Result<Inputs, Refusal> {
    let mut inputs = Inputs::default();
    for (index, picture) in pictures.into_iter().enumerate() {
        let path = Blobs::input_path(id, index);
        inputs.sources.push(match picture {
            RequestPicture::Inline { bytes, .. } => {
                inputs.bytes += bytes.len() as u64;
                blobs.put(&path, bytes).await?;
                Source::Blob { path }
            }
            RequestPicture::Stored { blob, .. } => {
                inputs.bytes +=
                    blobs.copy(&blob, &path).await?.ok_or_else(|| own_file_gone(field_name(Field::Image)))?;
                Source::Blob { path }
            }
            RequestPicture::Remote { url } => Source::Url { url },
        });
    }
    Ok(inputs)
}

/// [`store_inputs`] within the time that whoever submits should wait; what was stored goes when not all was.
async fn store_inputs_in_time(
    blobs: &Blobs,
    id: &JobId,
    pictures: Vec<RequestPicture>,
    field_name: FieldName,
) -> Result<Inputs, Refusal> {
    let too_slow = |_| {
        tracing::error!(job_id = %id, within = ?STORED_WITHIN, "the storage did not take the pictures of a request in time");
        Err(Refusal::Unavailable)
    };
    let storing = timeout(STORED_WITHIN, store_inputs(blobs, id, pictures, field_name));
    let refusal = match storing.await.unwrap_or_else(too_slow) {
        Ok(inputs) => return Ok(inputs),
        Err(refusal) => refusal,
    };
    let (blobs, id) = (blobs.clone(), id.clone());
    let discarding = tokio::spawn(async move { discard_inputs(&blobs, &id).await });
    // Whoever is told that the storage is away need not wait until it can be tidied.
    if !matches!(refusal, Refusal::Unavailable) {
        let _ = discarding.await;
    }
    Err(refusal)
}

/// The input of a job that was not made is nobody's; when it cannot be removed now, the sweep for orphans will.
async fn discard_inputs(blobs: &Blobs, id: &JobId) {
    if let Err(error) = blobs.delete_job(id).await {
        tracing::warn!(job_id = %id, %error, "the input of a refused job was not removed");
    }
}

/// What can be known to fail before a model runs.
fn check(submission: &Submission, queues: &[Queue], field_name: FieldName) -> Result<(), Refusal> {
    let sizes: Vec<_> = submission.pictures.iter().map(RequestPicture::size).collect();
    let checked = submission.request.check(&sizes);
    let checked = checked.and_then(|()| ModelName::check(&submission.request.model, queues));
    let Err(error) = checked else { return Ok(()) };
    let (field, message) = match (&error, error.as_field()) {
        // Not every model of a service lets clients name a size.
        (CoreError::SourceSize(size), _) => {
            let (low, high) = limits::SIDE.into_inner();
            let advice = format!("the result has the picture's size, so each side takes {low} to {high} pixels");
            (Field::Image, format!("{size} is out of range; {advice}").into())
        }
        (_, Some(problem)) => problem,
        (_, None) => {
            tracing::error!(%error, "the request's check failed");
            return Err(Refusal::Internal);
        }
    };
    Err(Problem::new(field_name(field), ProblemKind::OutOfRange, message).into())
}
