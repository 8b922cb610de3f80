//! One slot: claim, run, record, again.

use super::recorder::{self, Ending};
use super::{Control, Execution, News, WorkerContext, heartbeat};
use crate::backoff::random_part;
use crate::trace;
use crate::{Job, Lease, Queue, Result, WorkerId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Instrument, Span, field};

/// How long a slot that stops waits for what a claim may have taken of which it never heard: longer than a database works on a
/// transaction whose client has given up. What shows later is for the rescuer.
const UNHEARD_WITHIN: Duration = Duration::from_secs(5);

/// How often it asks.
const UNHEARD_EVERY: Duration = Duration::from_millis(500);

/// Runs jobs of `queues` until the workers stop.
pub(super) async fn run(shared: Arc<WorkerContext>, slot: usize, queues: Vec<Queue>) {
    // Each slot is a worker of its own: when it asks for a job it has none, and a store can tell a claim of which it never
    // heard from one that another slot has in hand.
    let worker = WorkerId::of_slot(&shared.options.process, slot);
    while !shared.stopping.is_cancelled() {
        tokio::select! {
            biased;
            () = shared.storage.opened() => {}
            () = shared.stopping.cancelled() => break,
        }
        let pause = match claim(&shared, slot, &worker, &queues).await {
            Ok(Some(job)) => {
                if shared.hints.reach_hosts() {
                    // News of several jobs come as one: the next slot looks, too, and the one after that if there was one.
                    shared.hints.hear(&News::Submitted(job.spec.request.model.clone()));
                }
                run_job(&shared, slot, &worker, job).await;
                continue;
            }
            Ok(None) => pause(&shared),
            Err(error) => {
                tracing::warn!(%error, "cannot claim a job");
                shared.options.longest_pause
            }
        };
        tokio::select! {
            () = shared.hints.next_submitted(&queues) => {}
            () = sleep(pause) => {}
            () = shared.stopping.cancelled() => {}
        }
    }
    release_unheard(&shared, &worker).await;
}

/// Hands back what a claim took of which this slot never heard: without a word it would wait until its lease has run out, and be
/// counted as an unclean end.
async fn release_unheard(shared: &WorkerContext, worker: &WorkerId) {
    let until = Instant::now() + UNHEARD_WITHIN;
    loop {
        match timeout_at(until, shared.store.release_unheard(worker)).await {
            Ok(Ok(true)) | Err(_) => return,
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot ask for a job whose claim was not heard of"),
        }
        sleep(UNHEARD_EVERY).await;
    }
}

/// How long an idle slot waits for news. Many hosts should not all look at once.
fn pause(shared: &WorkerContext) -> Duration {
    shared.hints.look_every().map_or(shared.options.poll_every, |usual| usual.mul_f64(0.8 + 0.4 * random_part()))
}

/// A job for the slot, unless what would run it is gone. Never given up half way: a claim that nobody hears of would have to run
/// out.
async fn claim(shared: &WorkerContext, slot: usize, worker: &WorkerId, queues: &[Queue]) -> Result<Option<Job>> {
    if !shared.executor.takes_jobs(slot) {
        return Ok(None);
    }
    shared.store.claim(worker, queues, shared.options.lease).await
}

async fn run_job(shared: &Arc<WorkerContext>, slot: usize, worker: &WorkerId, job: Job) {
    let claimed = Instant::now();
    let lease = job.lease(worker);
    let job = Arc::new(job);
    tracing::info!(job_id = %job.id, attempt = job.attempt, slot, "job started");
    if let (1, Some(started)) = (job.attempt, job.started_at) {
        shared.options.measures.waited(started.since(job.created_at));
    }
    let span = attempt_span(&job, worker);
    run_attempt(shared, slot, job, lease, claimed).instrument(span).await;
}

/// The span of an attempt. The first one is part of what the submit began; a later one begins a trace of its own, since that
/// may be long after, and names the first.
fn attempt_span(job: &Job, worker: &WorkerId) -> Span {
    let waited = job.started_at.map(|started| started.since(job.created_at).as_millis() as u64);
    let span = tracing::info_span!(
        target: trace::TARGET,
        parent: None,
        "attempt",
        otel.kind = "consumer",
        job.id = %job.id,
        job.attempt = job.attempt,
        job.waited_ms = waited,
        worker.id = %worker,
        job.end = field::Empty,
    );
    if let Some(submitted) = &job.spec.trace {
        if job.attempt == 1 { submitted.adopt(&span) } else { submitted.link(&span) }
    }
    span
}

async fn run_attempt(shared: &Arc<WorkerContext>, slot: usize, job: Arc<Job>, lease: Lease, claimed: Instant) {
    shared.held().insert(slot, lease.clone());
    let control = Control { abandon: shared.abandoning.child_token(), ..Control::default() };
    let heartbeat = heartbeat::start(shared, &lease, &control);
    let engine = tracing::info_span!(target: trace::TARGET, "engine");
    let ending = match execute(shared, &job, &control).instrument(engine).await {
        Execution::Succeeded(produced) => {
            let storing = tracing::info_span!(target: trace::TARGET, "store", otel.kind = "client");
            recorder::store_pictures(shared, &lease, &job, *produced, claimed).instrument(storing).await
        }
        Execution::Failed(failure) => recorder::failed(shared, &job, failure),
        Execution::Cancelled if control.cancel.is_cancelled() => Ending::Cancelled,
        Execution::Cancelled => Ending::Crashed("it stopped without having been asked to".to_owned()),
        Execution::Crashed { message } => Ending::Crashed(message),
        Execution::HandedBack => Ending::Released,
    };
    if matches!(ending, Ending::PutBack(..)) {
        shared.storage.shut();
    }
    let recording = tracing::info_span!(target: trace::TARGET, "record", otel.kind = "client");
    Span::current().record("job.end", recorder::name_of(&ending));
    recorder::record(shared, &lease, &job, ending).instrument(recording).await;
    heartbeat.stop();
    shared.held().remove(&slot);
    shared.hints.ended(&job.id);
}

/// Runs the executor in a task of its own, so that its panic ends this job only.
async fn execute(shared: &Arc<WorkerContext>, job: &Arc<Job>, control: &Control) -> Execution {
    let (executor, job, control) = (Arc::clone(&shared.executor), Arc::clone(job), control.clone());
    let task = tokio::spawn(async move { executor.execute(&job, &control).await }.in_current_span());
    // When the slot is cut off at shutdown, so is what it runs.
    let abort = tokio_util::task::AbortOnDropHandle::new(task);
    match abort.await {
        Ok(execution) => execution,
        Err(error) => Execution::Crashed { message: format!("executor failed: {error}") },
    }
}
