//! The pictures of one job.

use super::{Fetchers, LEASE, RENEW_EVERY, STORE_PAUSE};
use crate::cost::quote;
use afterimage_jobs::{Blobs, Failure, FailureKind, Fenced, FetchLease, Fetched, Job, JobId, Result, Source};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// First pause after a picture could not be stored; doubles with every failure.
const STORAGE_PAUSE: Duration = Duration::from_secs(2);

/// One job whose pictures are fetched here.
pub(super) struct Fetching {
    pub(super) shared: Arc<Fetchers>,
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
            (Outcome::Ready(_), Some(Fenced::Done)) => self.shared.hints.submitted(&self.job.spec.request.model),
            (Outcome::Ready(fetched), _) if self.may_be_used(fetched).await => {
                self.shared.hints.submitted(&self.job.spec.request.model);
            }
            (Outcome::Failed(failure), Some(Fenced::Done)) => {
                tracing::info!(job_id = %self.job.id, message = failure.message, "a picture could not be fetched");
                self.discard().await;
                self.shared.hints.ended(&self.job.id);
            }
            _ => self.discard().await,
        }
    }

    /// "Lost" may also mean that an earlier try was written although its answer did not arrive.
    async fn may_be_used(&self, fetched: &Fetched) -> bool {
        match self.shared.store.job(&self.job.id).await {
            Ok(job) => job.is_some_and(|job| job.spec.sources == fetched.sources),
            Err(_) => true,
        }
    }

    async fn fetch(&self) -> Outcome {
        let mut fetched = Fetched { sources: Vec::new(), bytes: 0, cost_micros: None };
        let fetcher = self.shared.fetcher.on_behalf_of(&self.job.key);
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
                && let Ok(size) = self.shared.decode.stored_size(file.clone()).await
            {
                fetched.cost_micros = Some(quote(rates, &self.job.spec.request, Some(size)));
            }
            let room = self.shared.room.reserve(self.shared.store.as_ref(), &self.job.key, file.len() as u64).await;
            let _reserved = match room {
                Ok(reserved) => reserved,
                // Words that are the key's own: its quota, or the full disk. Either may pass.
                Err(refusal) => return Outcome::PutBack(Failure::new(FailureKind::Storage, refusal.to_string())),
            };
            let path = Blobs::fetched_path(&self.lease, index);
            fetched.bytes += file.len() as u64;
            if let Err(error) = self.shared.blobs.put(&path, file).await {
                tracing::error!(job_id = %self.job.id, %error, "a fetched picture could not be stored");
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
            match self.shared.store.renew_fetch(&self.lease, LEASE).await {
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
        let (store, lease) = (&self.shared.store, &self.lease);
        match outcome {
            Outcome::Ready(fetched) => store.sources_ready(lease, fetched.clone()).await,
            Outcome::Failed(failure) => store.sources_failed(lease, failure.clone()).await,
            Outcome::PutBack(failure) => {
                let pause = STORAGE_PAUSE * 2_u32.saturating_pow(self.job.retries.min(8));
                store.retry_fetch(lease, failure.clone(), pause).await
            }
            Outcome::GivenBack => store.release_fetch(lease).await,
        }
    }

    /// Removes what this fetch stored, and nobody else's: its number is in the paths. What remains goes with the job.
    async fn discard(&self) {
        for index in 0..self.job.spec.sources.len() {
            if let Err(error) = self.shared.blobs.delete(&Blobs::fetched_path(&self.lease, index)).await {
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
