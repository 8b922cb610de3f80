//! The pool of fetchers.

use super::job::{FetchParts, Fetching, LEASE, STORE_PAUSE};
use super::slots::FetchSlots;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Jobs whose pictures are fetched at once. With the limit of a picture's bytes it bounds the memory.
pub const POOL: usize = 32;

/// How often the pool looks for jobs that nobody announced.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// Fetches the pictures of jobs until `stop`; then gives back what is not finished.
pub async fn run_fetchers(parts: FetchParts, stop: CancellationToken) {
    let (parts, slots) = (Arc::new(parts), FetchSlots::new(POOL));
    let mut tasks = JoinSet::new();
    while !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = parts.storage.opened() => {}
            () = stop.cancelled() => break,
        }
        let pause = fill(&parts, &slots, &mut tasks, &stop).await;
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = tasks.join_next() => report(ended),
            () = parts.hints.next_awaiting() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
}

/// Takes jobs while there is room; returns how long to wait for others.
async fn fill(
    parts: &Arc<FetchParts>,
    slots: &FetchSlots,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Duration {
    while slots.have_room() {
        // Subscribed before the claim: no end of the job falls in between.
        let ends = parts.hints.ends();
        match parts.store.claim_fetch(&slots.at_their_limit(), LEASE).await {
            Ok(Some((job, lease))) => {
                let slot = slots.take(&job.key);
                let fetching = Fetching { parts: Arc::clone(parts), job, lease, stop: stop.clone() };
                tasks.spawn(async move {
                    fetching.run(ends).await;
                    drop(slot);
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
