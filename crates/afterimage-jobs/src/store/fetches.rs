//! Pictures that lie elsewhere are fetched before a worker takes the job: a slow host keeps no worker waiting.

use crate::{Failure, Fenced, FetchLease, Job, KeyId, Result, Source};
use async_trait::async_trait;
use std::time::Duration;

/// What came of fetching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// All of the job's sources, each one a blob.
    pub sources: Vec<Source>,
    /// Bytes that were stored for it.
    pub bytes: u64,
    /// The price, where it is known better now.
    pub cost_micros: Option<i64>,
}

/// The part of the table of jobs that those who fetch pictures use.
///
/// A job that awaits its sources is [`crate::JobState::Queued`], may be cancelled, deleted or too late like any other, and
/// cannot be claimed. Fetching goes under a lease of its own; every write is refused when that was lost. Any method may
/// answer [`crate::Error::Unavailable`].
#[async_trait]
pub trait FetchStore: Send + Sync + 'static {
    /// Takes the job that awaits its pictures and is the next to be fetched, of a key that is not among `passed_over`.
    async fn claim_fetch(&self, passed_over: &[KeyId], lease: Duration) -> Result<Option<(Job, FetchLease)>>;

    /// Prolongs a lease to `duration` from now. [`Fenced::Lost`] also when the job has ended meanwhile.
    async fn renew_fetch(&self, lease: &FetchLease, duration: Duration) -> Result<Fenced>;

    /// Replaces the sources of the job, which workers may take from now on.
    async fn sources_ready(&self, lease: &FetchLease, fetched: Fetched) -> Result<Fenced>;

    /// Ends the job with a failure.
    async fn sources_failed(&self, lease: &FetchLease, failure: Failure) -> Result<Fenced>;

    /// Gives a fetch back in good order, for somebody else.
    async fn release_fetch(&self, lease: &FetchLease) -> Result<Fenced>;

    /// Gives a fetch back for `delay` because of a failure that may pass. After [`crate::MAX_ATTEMPTS`] the job fails
    /// with `failure`.
    async fn retry_fetch(&self, lease: &FetchLease, failure: Failure, delay: Duration) -> Result<Fenced>;
}
