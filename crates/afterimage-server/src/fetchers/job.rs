//! The pictures of one job.

use crate::cost::quote;
use crate::fetch::Fetcher;
use crate::picture_check::PictureChecker;
use crate::storage_room::StorageRoom;
use afterimage_jobs::worker::Hints;
use afterimage_jobs::{
    Backoff, Blobs, Failure, FailureKind, Fenced, FetchLease, Fetched, Job, JobId, Result, Source, StorageGate, Store,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long a job stays with a fetcher that is not heard of.
pub(super) const LEASE: Duration = Duration::from_secs(12);

/// How often a lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(3);

/// How long a fetcher waits after the store did not answer.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(5);

/// What it takes to fetch the pictures of a job.
pub struct FetchParts {
    /// The jobs.
    pub store: Arc<dyn Store>,
    /// Where the pictures go.
    pub blobs: Blobs,
    /// Whether it can be used.
    pub storage: StorageGate,
    /// News of jobs.
    pub hints: Arc<Hints>,
    /// Who may store how much.
    pub room: Arc<StorageRoom>,
    /// Tells sizes, for prices.
    pub pictures: PictureChecker,
    /// Fetches by the rules for addresses that clients name.
    pub fetcher: Fetcher,
}

/// Pauses after a picture could not be stored.
const STORAGE_BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(512));

/// One job whose pictures are fetched here.
pub(super) struct Fetching {
    pub(super) parts: Arc<FetchParts>,
    pub(super) job: Job,
    pub(super) lease: FetchLease,
    /// The server ends.
    pub(super) stop: CancellationToken,
}

/// How fetching ended.
enum Outcome {
    Ready(Fetched),
    Failed(Failure),
    /// May go better later.
    PutBack(Failure),
    GivenBack,
}

impl Fetching {
    /// Fetches, and writes down what came of it. `ends` tells of jobs that end meanwhile.
    pub(super) async fn run(self, mut ends: Receiver<JobId>) {
        let outcome = tokio::select! {
            biased;
            () = self.lost(&mut ends) => {
                tracing::info!(job_id = %self.job.id, "its pictures are not wanted any more");
                self.discard().await;
                return;
            }
            () = self.stop.cancelled() => Outcome::GivenBack,
            outcome = self.fetch() => outcome,
        };
        let fenced = self.record(&outcome).await;
        match (&outcome, fenced) {
            (Outcome::Ready(_), Some(Fenced::Done)) => self.parts.hints.submitted(&self.job.spec.request.model),
            (Outcome::Ready(fetched), _) if self.may_be_used(fetched).await => {
                self.parts.hints.submitted(&self.job.spec.request.model);
            }
            (Outcome::Failed(failure), Some(Fenced::Done)) => {
                tracing::info!(job_id = %self.job.id, message = failure.message, "a picture could not be fetched");
                self.discard().await;
                self.parts.hints.ended(&self.job.id);
            }
            _ => self.discard().await,
        }
    }

    /// "Lost" may also mean that an earlier try was written although its answer did not arrive.
    async fn may_be_used(&self, fetched: &Fetched) -> bool {
        match self.parts.store.job(&self.job.id).await {
            Ok(job) => job.is_some_and(|job| job.spec.sources == fetched.sources),
            Err(_) => true,
        }
    }

    async fn fetch(&self) -> Outcome {
        let mut fetched = Fetched { sources: Vec::new(), bytes: 0, cost_micros: None };
        let fetcher = self.parts.fetcher.on_behalf_of(&self.job.key);
        for (index, source) in self.job.spec.sources.iter().enumerate() {
            let Source::Url { url } = source else {
                fetched.sources.push(source.clone());
                continue;
            };
            let file = match fetcher.fetch_picture(url).await {
                Ok(file) => file,
                Err(error) => {
                    return Outcome::Failed(Failure::about_image(FailureKind::SourceUnavailable, error.to_string()));
                }
            };
            // What cannot be read is refused by the engine, in its words.
            if index == 0
                && let Some(rates) = self.job.spec.rates
                && let Ok(size) = self.parts.pictures.stored_size(file.clone()).await
            {
                fetched.cost_micros = Some(quote(rates, &self.job.spec.request, Some(size)));
            }
            let room = self.parts.room.reserve(self.parts.store.as_ref(), &self.job.key, file.len() as u64).await;
            let _reserved = match room {
                Ok(reserved) => reserved,
                // Words that are the key's own: its quota, or the full disk. Either may pass.
                Err(refusal) => return Outcome::PutBack(Failure::new(FailureKind::Storage, refusal.to_string())),
            };
            let path = Blobs::fetched_path(&self.lease, index);
            fetched.bytes += file.len() as u64;
            if let Err(error) = self.parts.blobs.put(&path, file).await {
                tracing::error!(job_id = %self.job.id, %error, "a fetched picture could not be stored");
                self.parts.storage.shut();
                return Outcome::PutBack(Failure::new(FailureKind::Storage, "the picture could not be stored"));
            }
            fetched.sources.push(Source::Blob { path });
        }
        Outcome::Ready(fetched)
    }

    /// Renews the lease until it is lost: the job has ended, or somebody else fetches.
    async fn lost(&self, ends: &mut Receiver<JobId>) {
        loop {
            tokio::select! {
                () = sleep(RENEW_EVERY) => {}
                () = news_of(ends, &self.job.id) => {}
            }
            match self.parts.store.renew_fetch(&self.lease, LEASE).await {
                Ok(Fenced::Done) => {}
                Ok(Fenced::Lost) => return,
                // The next beat tries again. Should the lease run out meanwhile, the fence decides.
                Err(error) => tracing::warn!(job_id = %self.job.id, %error, "cannot renew the lease of a fetch"),
            }
        }
    }

    /// Tries until the store answers, or the server ends: then the lease runs out.
    async fn record(&self, outcome: &Outcome) -> Option<Fenced> {
        loop {
            match self.write(outcome).await {
                Ok(fenced) => return Some(fenced),
                Err(error) => {
                    tracing::warn!(job_id = %self.job.id, %error, "cannot record what came of fetching");
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = sleep(STORE_PAUSE) => {}
            }
        }
    }

    async fn write(&self, outcome: &Outcome) -> Result<Fenced> {
        let (store, lease) = (&self.parts.store, &self.lease);
        match outcome {
            Outcome::Ready(fetched) => store.sources_ready(lease, fetched.clone()).await,
            Outcome::Failed(failure) => store.sources_failed(lease, failure.clone()).await,
            Outcome::PutBack(failure) => {
                store.retry_fetch(lease, failure.clone(), STORAGE_BACKOFF.pause(self.job.retries)).await
            }
            Outcome::GivenBack => store.release_fetch(lease).await,
        }
    }

    /// Removes what this fetch stored, and nobody else's: its number is in the paths. What remains goes with the job.
    async fn discard(&self) {
        for index in 0..self.job.spec.sources.len() {
            if let Err(error) = self.parts.blobs.delete(&Blobs::fetched_path(&self.lease, index)).await {
                tracing::warn!(job_id = %self.job.id, %error, "a fetched picture was not removed");
            }
        }
    }
}

/// Completes when `job` has ended, or may have.
async fn news_of(ends: &mut Receiver<JobId>, job: &JobId) {
    loop {
        match ends.recv().await {
            Ok(ended) if ended != *job => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
