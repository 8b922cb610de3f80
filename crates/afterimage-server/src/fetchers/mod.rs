//! Pictures are fetched before a worker takes the job, so that no worker waits for somebody's slow host.
//!
//! A job whose pictures lie elsewhere is queued and not to be claimed. A pool of fetchers, shared between keys (see
//! `Shares`), takes such jobs under a lease, stores their pictures and releases them to the workers. What happens to
//! a job meanwhile (cancelled, deleted, late, taken by another server) is noticed as with workers, at once by
//! [`Hints`], else at the next renewal; its fetch is dropped then. A server that dies loses its leases, and the pictures
//! are fetched again.

mod job;
mod shares;

use crate::decode::DecodePool;
use crate::fetch::Fetcher;
use crate::storage_room::StorageRoom;
use afterimage_jobs::worker::Hints;
use afterimage_jobs::{Blobs, Store};
use job::Fetching;
use shares::Shares;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Jobs whose pictures are fetched at once. With the limit of a picture's bytes it bounds the memory.
pub const POOL: usize = 32;

/// How long a job stays with a fetcher that is not heard of.
const LEASE: Duration = Duration::from_secs(12);

/// How often a lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(3);

/// How often the pool looks for jobs that nobody announced.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// How long it waits after the store did not answer.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// Fetches the pictures of jobs.
pub struct Fetchers {
    /// The jobs.
    pub store: Arc<dyn Store>,
    /// Where the pictures go.
    pub blobs: Blobs,
    /// News of jobs.
    pub hints: Arc<Hints>,
    /// Who may store how much.
    pub room: Arc<StorageRoom>,
    /// Tells sizes, for prices.
    pub decode: DecodePool,
    /// Fetches by the rules for addresses that clients name.
    pub fetcher: Fetcher,
}

impl Fetchers {
    /// Fetches until `stop`; then gives back what is not finished.
    pub async fn run(self, stop: CancellationToken) {
        let (shared, shares) = (Arc::new(self), Shares::new(POOL));
        let mut tasks = JoinSet::new();
        while !stop.is_cancelled() {
            let pause = fill(&shared, &shares, &mut tasks, &stop).await;
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = tasks.join_next() => report(ended),
                () = shared.hints.next_awaiting() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }
}

/// Takes jobs while there is room; returns how long to wait for others.
async fn fill(shared: &Arc<Fetchers>, shares: &Shares, tasks: &mut JoinSet<()>, stop: &CancellationToken) -> Duration {
    while shares.have_room() {
        // Subscribed before the claim: no end of the job falls in between.
        let ends = shared.hints.ends();
        match shared.store.claim_fetch(&shares.at_their_limit(), LEASE).await {
            Ok(Some((job, lease))) => {
                let share = shares.take(&job.key);
                let fetching = Fetching { shared: Arc::clone(shared), job, lease, stop: stop.clone() };
                tasks.spawn(async move {
                    fetching.run(ends).await;
                    drop(share);
                });
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "cannot look for pictures to fetch");
                return STORE_PAUSE;
            }
        }
    }
    POLL_EVERY
}

/// A fetcher that failed has lost its lease soon, and somebody else fetches.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a fetcher failed");
    }
}

#[cfg(test)]
mod tests;
