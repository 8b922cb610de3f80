//! From the outbox to the receivers.

use super::message::{Message, Render};
use super::receiver_queues::{ReceiverQueue, ReceiverQueues};
use super::schedule::{Schedule, random_jitter};
use crate::fetch::{FetchError, Outbound, parse_web_url};
use crate::http::layers::TRACEPARENT;
use afterimage_jobs::trace::{self, TraceParent};
use afterimage_jobs::{Clock, Delivery, Fenced, Job, KeyId, NextTry, Places, Store, SystemClock};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use reqwest::Response;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, field};
use url::Url;

/// Webhooks of one key sent to one receiver at once.
const PARALLEL: u32 = 4;

/// Webhooks that wait in this process for the same receiver. More go back to the outbox, so they take no place from
/// others.
const WAITING: usize = 8;

/// Webhooks held by this process, sent or waiting; how many of one key, [`Places`] says.
const HELD: u32 = 1024;

/// Longest wait for a turn at a receiver.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// Time for everything but the sending itself, which a lease has to cover too.
const LEASE_SLACK: Duration = Duration::from_secs(5);

/// How often the outbox is asked for what is due.
const POLL: Duration = Duration::from_millis(250);

/// Pause of a webhook whose receiver is busy.
const BUSY_PAUSE: Duration = Duration::from_secs(30);

/// Time that webhooks on their way get when the server stops. What is not answered by then is sent again later.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read, so that a polite receiver sees its answer taken. They are not used.
const ANSWER_BYTES: usize = 64 * 1024;

/// Time for reading them.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Sends webhooks.
pub struct Deliverer {
    sender: Arc<Sender>,
    lease: Duration,
}

/// What every delivery needs.
struct Sender {
    store: Arc<dyn Store>,
    renderers: HashMap<String, Arc<dyn Render>>,
    outbound: Outbound,
    queues: ReceiverQueues,
    places: Mutex<Places>,
}

/// A place that a delivery has until this is dropped.
struct Held {
    sender: Arc<Sender>,
    key: KeyId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sender.places().give_back(&self.key);
    }
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum DeliveryFailure {
    #[error(transparent)]
    Address(#[from] FetchError),
    #[error("the receiver answered with status {0}")]
    Status(u16),
    #[error("the receiver answered with a redirect, which is not followed")]
    Redirect,
    #[error("the receiver did not answer within {} seconds", .0.as_secs())]
    TooSlow(Duration),
    #[error("{0}")]
    Rendering(#[from] super::RenderError),
    /// Asking again would change nothing.
    #[error("{0}")]
    Hopeless(&'static str),
}

/// The span of an attempt to deliver, in the trace of the job.
fn span_of(job: &Job, delivery: &Delivery) -> Span {
    let span = tracing::info_span!(
        target: trace::TARGET,
        parent: None,
        "webhook",
        otel.kind = "client",
        job.id = %job.id,
        webhook.attempt = delivery.attempt,
        http.response.status_code = field::Empty,
    );
    if let Some(submitted) = &job.spec.trace {
        submitted.adopt(&span);
    }
    span
}

impl Deliverer {
    /// Sends what `store` has in its outbox, by the renderer of each dialect's name, to addresses that `outbound`
    /// permits.
    pub fn new(store: Arc<dyn Store>, renderers: HashMap<String, Arc<dyn Render>>, outbound: Outbound) -> Self {
        let longest = renderers.values().map(|renderer| renderer.schedule().response_limit).max().unwrap_or_default();
        let lease = TURN_LIMIT + longest + ANSWER_LIMIT + LEASE_SLACK;
        let (queues, places) = (ReceiverQueues::new(PARALLEL, WAITING), Mutex::new(Places::new(HELD)));
        Self { sender: Arc::new(Sender { store, renderers, outbound, queues, places }), lease }
    }

    /// Sends webhooks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        while !stop.is_cancelled() {
            while let Some(ended) = tasks.try_join_next() {
                log_panic(ended);
            }
            let taken = self.take(&mut tasks).await;
            // A full answer means that more is due.
            if taken == 0 {
                tokio::select! {
                    () = tokio::time::sleep(POLL) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        let finish = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_LIMIT, finish).await.is_err() {
            tracing::info!("webhooks on their way were left to the next start");
        }
    }

    /// Takes due webhooks for which there are places and starts sending them; returns how many.
    async fn take(&self, tasks: &mut JoinSet<()>) -> usize {
        const BATCH: u32 = 64;
        let places = self.sender.places().clone();
        if places.free() == 0 {
            return 0;
        }
        let due = match self.sender.store.due_deliveries(BATCH, &places, self.lease).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the outbox could not be read");
                return 0;
            }
        };
        let taken = due.len();
        for delivery in due {
            let sender = Arc::clone(&self.sender);
            let held = sender.hold(&delivery);
            tasks.spawn(async move {
                match parse_web_url(&delivery.url) {
                    Ok(url) => sender.deliver(&delivery, url).await,
                    Err(_) => sender.note(&delivery, Err(DeliveryFailure::Hopeless("no usable address"))).await,
                }
                drop(held);
            });
        }
        taken
    }
}

impl Sender {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of a delivery that was taken from the outbox.
    fn hold(self: &Arc<Self>, delivery: &Delivery) -> Option<Held> {
        let taken = self.places().take(&delivery.key);
        taken.then(|| Held { sender: Arc::clone(self), key: delivery.key.clone() })
    }

    async fn deliver(&self, delivery: &Delivery, url: Url) {
        let queue = ReceiverQueue::of(&delivery.key, &url);
        let Some(place) = self.queues.enter(&queue) else { return self.postpone(delivery).await };
        let Ok(Some(_turn)) = tokio::time::timeout(TURN_LIMIT, place.turn()).await else {
            return self.postpone(delivery).await;
        };
        let outcome = self.attempt(delivery, url).await;
        match &outcome {
            Ok(()) | Err(DeliveryFailure::Status(_) | DeliveryFailure::Redirect) => self.queues.note(&queue, true),
            Err(DeliveryFailure::TooSlow(_) | DeliveryFailure::Address(_)) => self.queues.note(&queue, false),
            // Nobody was asked.
            Err(DeliveryFailure::Rendering(_) | DeliveryFailure::Hopeless(_)) => {}
        }
        self.note(delivery, outcome).await;
    }

    async fn attempt(&self, delivery: &Delivery, url: Url) -> Result<(), DeliveryFailure> {
        let renderer = self.renderer(delivery).ok_or(DeliveryFailure::Hopeless("no such dialect"))?;
        let job = match self.store.job(&delivery.job).await {
            Ok(job) => job,
            Err(error) => return Err(super::RenderError(error.to_string()).into()),
        };
        let job = job.filter(|job| !job.deleted).ok_or(DeliveryFailure::Hopeless("the job was deleted"))?;
        let span = span_of(&job, delivery);
        let mut message = renderer.render(&job, delivery, SystemClock.now()).await?;
        if let Some(Ok(place)) = TraceParent::of(&span).map(|place| place.to_string().parse()) {
            message.headers.insert(TRACEPARENT, place);
        }
        let limit = renderer.schedule().response_limit;
        let answer =
            tokio::time::timeout(limit, self.post(&job.key, url, message, limit)).instrument(span.clone()).await;
        let answer = answer.map_err(|_| DeliveryFailure::TooSlow(limit))??;
        let status = answer.status();
        span.record("http.response.status_code", status.as_u16());
        read_away(answer).await;
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::GONE => Err(DeliveryFailure::Hopeless("the receiver wants no more (status 410)")),
            _ if status.is_redirection() => Err(DeliveryFailure::Redirect),
            _ => Err(DeliveryFailure::Status(status.as_u16())),
        }
    }

    async fn post(
        &self,
        key: &KeyId,
        url: Url,
        message: Message,
        limit: Duration,
    ) -> Result<Response, DeliveryFailure> {
        let client = self.outbound.on_behalf_of(key).client_for(&url, limit).await?;
        let mut headers = message.headers;
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        client.post(url).headers(headers).body(message.body).send().await.map_err(|error| {
            let error = error.without_url();
            tracing::debug!(error = &error as &dyn std::error::Error, "a webhook could not be sent");
            FetchError::Unreachable.into()
        })
    }

    /// Writes down what came of an attempt.
    async fn note(&self, delivery: &Delivery, outcome: Result<(), DeliveryFailure>) {
        let (id, attempt) = (delivery.id, delivery.attempt);
        let written = match outcome {
            Ok(()) => {
                tracing::info!(job_id = %delivery.job, delivery = id, attempt, "webhook delivered");
                self.store.delivered(id, attempt).await
            }
            Err(failed) => {
                let next = self.next_try(delivery, &failed);
                tracing::info!(job_id = %delivery.job, delivery = id, attempt, error = %failed, ?next, "webhook not delivered");
                self.store.delivery_failed(id, attempt, next, &failed.to_string()).await
            }
        };
        log_unwritten(delivery, written);
    }

    /// Puts a webhook back whose receiver has enough to do. That is no attempt and never gives it up.
    async fn postpone(&self, delivery: &Delivery) {
        let pause = BUSY_PAUSE + BUSY_PAUSE.mul_f64(f64::from(random_jitter()) / 255.0);
        tracing::debug!(job_id = %delivery.job, delivery = delivery.id, "webhook postponed, its receiver is busy");
        let message = "other webhooks of this receiver are not answered";
        let next = NextTry::Postponed(pause);
        let written = self.store.delivery_failed(delivery.id, delivery.attempt, next, message).await;
        log_unwritten(delivery, written);
    }

    fn next_try(&self, delivery: &Delivery, failed: &DeliveryFailure) -> NextTry {
        if matches!(failed, DeliveryFailure::Hopeless(_)) {
            return NextTry::GiveUp;
        }
        let schedule = self.renderer(delivery).map_or_else(Schedule::default, Render::schedule);
        schedule.pause_after(delivery.failures + 1, random_jitter()).map_or(NextTry::GiveUp, NextTry::After)
    }

    fn renderer(&self, delivery: &Delivery) -> Option<&dyn Render> {
        self.renderers.get(&delivery.dialect).map(AsRef::as_ref)
    }
}

/// Reads the beginning of an answer's body.
async fn read_away(mut answer: Response) {
    let read = async {
        let mut bytes = 0;
        while let Ok(Some(chunk)) = answer.chunk().await {
            bytes += chunk.len();
            if bytes >= ANSWER_BYTES {
                break;
            }
        }
    };
    // The status has said all; whether the rest comes is nobody's concern.
    let _ = tokio::time::timeout(ANSWER_LIMIT, read).await;
}

fn log_unwritten(delivery: &Delivery, written: afterimage_jobs::Result<Fenced>) {
    match written {
        Ok(Fenced::Done) => {}
        Ok(Fenced::Lost) => tracing::warn!(delivery = delivery.id, "a later attempt of this webhook has taken over"),
        Err(error) => {
            tracing::warn!(delivery = delivery.id, %error, "a webhook's attempt was not noted; it is repeated");
        }
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "sending a webhook failed; it is repeated");
    }
}

#[cfg(test)]
mod tests;
