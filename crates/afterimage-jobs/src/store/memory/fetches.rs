//! [`FetchStore`] in memory.

use super::{MemoryStore, Tables};
use crate::state::{Lifecycle, Phase, TransitionRefusal};
use crate::store::endings::Payload;
use crate::{Failure, Fenced, FetchLease, FetchStore, Fetched, Job, KeyId, Result, Timestamp};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
impl FetchStore for MemoryStore {
    async fn claim_fetch(&self, passed_over: &[KeyId], lease: Duration) -> Result<Option<(Job, FetchLease)>> {
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.time_out_starts(now);
        tables.wake_delayed(now);
        tables.free_fetches(now, now);
        Ok(tables.claim_fetch(now, passed_over, now.plus(lease)))
    }

    async fn renew_fetch(&self, lease: &FetchLease, duration: Duration) -> Result<Fenced> {
        let until = self.clock.now().plus(duration);
        Ok(self.write_fetch(lease, Payload::Nothing, |job| job.renew_fetch(lease, until)))
    }

    async fn sources_ready(&self, lease: &FetchLease, fetched: Fetched) -> Result<Fenced> {
        let now = self.clock.now();
        let mut tables = self.tables();
        if tables.apply(now, &lease.job, Payload::Nothing, |job| job.sources_ready(lease)).is_none() {
            return Ok(Fenced::Lost);
        }
        let Some(stored) = tables.stored(&lease.job) else { return Ok(Fenced::Lost) };
        stored.job.spec.sources = fetched.sources;
        stored.job.input_bytes += fetched.bytes;
        stored.job.cost_micros = fetched.cost_micros.unwrap_or(stored.job.cost_micros);
        let (queue, key, priority) = (stored.queue().clone(), stored.job.key.clone(), stored.job.priority);
        // Not among those waiting any more until it has its tag: it would be its own predecessor.
        let tag = tables.place(Some(&queue), &key, priority, Some(&lease.job)).tag(priority);
        if let Some(stored) = tables.stored(&lease.job) {
            stored.due = tag;
        }
        Ok(Fenced::Done)
    }

    async fn sources_failed(&self, lease: &FetchLease, failure: Failure) -> Result<Fenced> {
        let kind = failure.kind;
        Ok(self.write_fetch(lease, Payload::Failure(failure), |job| job.sources_failed(lease, kind)))
    }

    async fn release_fetch(&self, lease: &FetchLease) -> Result<Fenced> {
        Ok(self.write_fetch(lease, Payload::Nothing, |job| job.release_fetch(lease)))
    }

    async fn retry_fetch(&self, lease: &FetchLease, failure: Failure, delay: Duration) -> Result<Fenced> {
        let (kind, ready_at) = (failure.kind, self.clock.now().plus(delay));
        Ok(self.write_fetch(lease, Payload::Failure(failure), |job| job.retry_fetch(lease, kind, ready_at)))
    }
}

impl MemoryStore {
    fn write_fetch(
        &self,
        lease: &FetchLease,
        payload: Payload,
        step: impl FnOnce(Lifecycle) -> Result<Lifecycle, TransitionRefusal>,
    ) -> Fenced {
        let now = self.clock.now();
        if self.tables().apply(now, &lease.job, payload, step).is_some() { Fenced::Done } else { Fenced::Lost }
    }
}

impl Tables {
    /// Frees fetches whose lease ran out before `expired_at`.
    pub(super) fn free_fetches(&mut self, now: Timestamp, expired_at: Timestamp) {
        let ids: Vec<_> = self.jobs.values().map(|stored| stored.job.id.clone()).collect();
        for id in ids {
            self.apply(now, &id, Payload::Nothing, |job| job.free_fetch(expired_at));
        }
    }

    fn claim_fetch(&mut self, now: Timestamp, passed_over: &[KeyId], until: Timestamp) -> Option<(Job, FetchLease)> {
        let next = self
            .jobs
            .iter()
            .filter(|(_, stored)| match stored.lifecycle.phase {
                Phase::AwaitsSources { ready_at, fetch_until: None } => ready_at.is_none_or(|at| at <= now),
                _ => false,
            })
            .filter(|(_, stored)| !passed_over.contains(&stored.job.key))
            .min_by_key(|(number, stored)| (stored.due, **number))
            .map(|(_, stored)| stored.job.id.clone())?;
        self.apply(now, &next, Payload::Nothing, |job| job.claim_fetch(now, until))?;
        let stored = self.stored(&next)?;
        Some((stored.job.clone(), FetchLease { job: next, number: stored.lifecycle.fetches }))
    }
}
