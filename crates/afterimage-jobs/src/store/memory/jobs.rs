//! [`JobStore`] in memory.

use super::{MemoryStore, StoredJob, Tables};
use crate::state::{Lifecycle, Phase};
use crate::store::endings::{self, Payload};
use crate::store::order;
use crate::{
    CancelOutcome, CancelledAll, Due, Ends, Error, Failure, Fenced, Idempotency, Job, JobId, JobResult, JobSpec,
    JobState, JobStore, KeyId, Lease, ListFilter, NewJob, POSITION_LIMIT, Page, Queue, QueueDepth, QueueLoad, Removed,
    Renewed, Result, Spending, Submitted, Timestamp, WorkerId,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;

#[async_trait]
impl JobStore for MemoryStore {
    async fn submit(&self, job: NewJob) -> Result<Submitted> {
        let now = self.clock.now();
        self.reach()?.submit(now, job)
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>> {
        Ok(self.reach()?.stored(id).map(|stored| stored.job.clone()))
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        let mut tables = self.reach()?;
        Ok(ids.iter().filter_map(|id| tables.stored(id).map(|stored| stored.job.clone())).collect())
    }

    async fn list(&self, key: &KeyId, filter: &ListFilter) -> Result<Page> {
        let tables = self.reach()?;
        let mut matching: Vec<(u64, &Job)> = tables
            .jobs
            .iter()
            .map(|(number, stored)| (*number, &stored.job))
            .filter(|(_, job)| job.key == *key && matches(filter, job))
            .collect();
        matching.sort_by_key(|(number, job)| std::cmp::Reverse((job.created_at, *number)));
        let (skip, size) = filter.window();
        let total = matching.len() as u64;
        let page = matching.into_iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).take(size as usize);
        Ok(Page { jobs: page.map(|(_, job)| job.clone()).collect(), total })
    }

    async fn delete(&self, key: &KeyId, jobs: &[JobId]) -> Result<Vec<Removed>> {
        let now = self.clock.now();
        let mut tables = self.reach()?;
        Ok(jobs.iter().filter_map(|id| tables.delete(now, key, id)).collect())
    }

    async fn position(&self, id: &JobId) -> Result<Option<u64>> {
        let tables = self.reach()?;
        let Some(number) = tables.job_numbers.get(id) else { return Ok(None) };
        let Some(mine) = tables.jobs.get(number).filter(|stored| stored.job.state == JobState::Queued) else {
            return Ok(None);
        };
        let awaits = |stored: &StoredJob| matches!(stored.lifecycle.phase, Phase::AwaitsSources { .. });
        let ahead = tables.jobs.iter().filter(|(other, stored)| {
            let waits = stored.lifecycle.phase == Phase::Queued { ready_at: None } && stored.queue() == mine.queue();
            let counts = waits || (awaits(mine) && awaits(stored));
            counts && (stored.due, *other) < (mine.due, number)
        });
        Ok(Some((ahead.count() as u64).min(POSITION_LIMIT)))
    }

    async fn cancel(&self, key: &KeyId, id: &JobId) -> Result<CancelOutcome> {
        let now = self.clock.now();
        let mut tables = self.reach()?;
        if !tables.owns(key, id) {
            return Ok(CancelOutcome::NotFound);
        }
        Ok(match tables.apply(now, id, Payload::Nothing, Lifecycle::cancel) {
            None => CancelOutcome::AlreadyFinished,
            Some(JobState::Running) => CancelOutcome::Requested,
            Some(_) => CancelOutcome::Cancelled,
        })
    }

    async fn cancel_all(&self, key: &KeyId) -> Result<CancelledAll> {
        let now = self.clock.now();
        let mut tables = self.reach()?;
        let open = tables
            .jobs
            .values()
            .filter(|stored| stored.job.key == *key && !stored.job.state.is_terminal() && !stored.job.cancel_requested);
        let open: Vec<JobId> = open.map(|stored| stored.job.id.clone()).collect();
        let mut sum = CancelledAll::default();
        for id in &open {
            match tables.apply(now, id, Payload::Nothing, Lifecycle::cancel) {
                None => {}
                Some(JobState::Running) => sum.requested += 1,
                Some(_) => sum.cancelled += 1,
            }
        }
        Ok(sum)
    }

    async fn repeated(&self, key: &KeyId, idempotency: &Idempotency) -> Result<Option<Job>> {
        self.reach()?.repeated(key, idempotency)
    }

    async fn claim(&self, worker: &WorkerId, queues: &[Queue], lease: Duration) -> Result<Option<Job>> {
        let now = self.clock.now();
        let mut tables = self.reach()?;
        tables.wake_delayed(now);
        Ok(queues.iter().find_map(|queue| tables.claim(now, worker, queue, now.plus(lease))))
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Renewed> {
        let now = self.clock.now();
        let mut tables = self.reach()?;
        let state = tables.apply(now, &lease.job, Payload::Nothing, |job| job.renew(lease, now.plus(duration)));
        let cancel_requested = tables.stored(&lease.job).is_some_and(|stored| stored.job.cancel_requested);
        Ok(if state.is_some() { Renewed::Held { cancel_requested } } else { Renewed::Lost })
    }

    async fn succeed(&self, lease: &Lease, result: JobResult) -> Result<Fenced> {
        self.end(lease, Payload::Result(Box::new(result)), |job| job.succeed(lease))
    }

    async fn fail(&self, lease: &Lease, failure: Failure) -> Result<Fenced> {
        let kind = failure.kind;
        self.end(lease, Payload::Failure(failure), |job| job.fail(lease, kind))
    }

    async fn cancelled(&self, lease: &Lease) -> Result<Fenced> {
        self.end(lease, Payload::Nothing, |job| job.confirm_cancel(lease))
    }

    async fn release(&self, lease: &Lease) -> Result<Fenced> {
        self.end(lease, Payload::Nothing, |job| job.release(lease))
    }

    async fn crashed(&self, lease: &Lease, message: &str) -> Result<Fenced> {
        self.end(lease, Payload::Failure(endings::quarantine(message)), |job| job.crashed(lease))
    }

    async fn retry(&self, lease: &Lease, failure: Failure, delay: Duration) -> Result<Fenced> {
        let (kind, ready_at) = (failure.kind, self.clock.now().plus(delay));
        self.end(lease, Payload::Failure(failure), |job| job.retry(lease, kind, ready_at))
    }

    async fn rescue(&self) -> Result<Vec<JobId>> {
        let now = self.clock.now();
        Ok(self.reach()?.rescue_expired(now, now))
    }

    async fn time_out_starts(&self) -> Result<Vec<JobId>> {
        let now = self.clock.now();
        Ok(self.reach()?.time_out_starts(now))
    }

    async fn queue_depth(&self) -> Result<QueueDepth> {
        let tables = self.reach()?;
        let count = |state| tables.jobs.values().filter(|stored| stored.job.state == state).count() as u64;
        Ok(QueueDepth { queued: count(JobState::Queued), running: count(JobState::Running) })
    }

    async fn loads(&self) -> Result<Vec<QueueLoad>> {
        let now = self.clock.now();
        let mut loads = BTreeMap::<Queue, QueueLoad>::new();
        for stored in self.reach()?.jobs.values() {
            let is_due = stored.lifecycle.phase == (Phase::Queued { ready_at: None });
            if !is_due && stored.job.state != JobState::Running {
                continue;
            }
            let load = loads.entry(stored.queue().clone()).or_default();
            load.queue.clone_from(stored.queue());
            if is_due {
                load.waiting += 1;
                load.oldest_wait = load.oldest_wait.max(Some(now.since(stored.job.created_at)));
            } else {
                load.running += 1;
            }
        }
        Ok(loads.into_values().collect())
    }

    async fn ends(&self) -> Result<Ends> {
        Ok(self.reach()?.ends)
    }

    async fn spending(&self, key: &KeyId, user: Option<&str>) -> Result<Spending> {
        let tables = self.reach()?;
        let mut sum = Spending::default();
        for ((of_key, of_user), part) in &tables.spending {
            if of_key == key && user.is_none_or(|user| user == of_user) {
                sum.jobs += part.jobs;
                sum.cost_micros += part.cost_micros;
            }
        }
        Ok(sum)
    }

    async fn expire_jobs(&self, due: Due, limit: u32) -> Result<Vec<JobId>> {
        let mut tables = self.reach()?;
        let expired = tables.due_jobs(due, limit);
        tables.scrub(&expired);
        Ok(expired)
    }

    async fn due_jobs(&self, due: Due, limit: u32) -> Result<Vec<JobId>> {
        Ok(self.reach()?.due_jobs(due, limit))
    }

    async fn unswept_jobs(&self, limit: u32) -> Result<Vec<JobId>> {
        let tables = self.reach()?;
        Ok(tables.ended(|stored| stored.job.deleted && !stored.swept, Timestamp(i64::MAX), limit))
    }

    async fn mark_jobs_swept(&self, jobs: &[JobId]) -> Result<()> {
        let mut tables = self.reach()?;
        for id in jobs {
            if let Some(stored) = tables.stored(id)
                && stored.job.deleted
                && stored.job.finished_at.is_some()
            {
                stored.swept = true;
                (stored.job.input_bytes, stored.result_bytes) = (0, 0);
            }
        }
        Ok(())
    }

    async fn prune_jobs(&self, finished_before: Timestamp, limit: u32) -> Result<u64> {
        let mut tables = self.reach()?;
        let gone = |stored: &StoredJob| stored.job.deleted && stored.swept && !tables.has_open_delivery(&stored.job.id);
        let old = tables.ended(gone, finished_before, limit);
        for id in &old {
            if let Some(number) = tables.job_numbers.remove(id) {
                tables.jobs.remove(&number);
            }
            tables.deliveries.retain(|stored| stored.delivery.job != *id);
        }
        Ok(old.len() as u64)
    }
}

impl MemoryStore {
    fn end(
        &self,
        lease: &Lease,
        payload: Payload,
        step: impl FnOnce(Lifecycle) -> Result<Lifecycle, crate::state::TransitionRefusal>,
    ) -> Result<Fenced> {
        let now = self.clock.now();
        Ok(self.reach()?.apply_fenced(now, lease, payload, step))
    }
}

impl Tables {
    fn submit(&mut self, now: Timestamp, new: NewJob) -> Result<Submitted> {
        self.check_key(&new.key)?;
        if let Some(stored) = self.stored(&new.id) {
            let job = stored.job.clone();
            return if job.key == new.key {
                Ok(Submitted::Existing(job))
            } else {
                Err(Error::IdempotencyConflict { job: job.id })
            };
        }
        if let Some(wanted) = &new.idempotency
            && let Some(job) = self.repeated(&new.key, wanted)?
        {
            return Ok(Submitted::Existing(job));
        }
        let awaits_sources = new.spec.awaits_sources();
        let queue = Some(&new.spec.request.model).filter(|_| !awaits_sources);
        let due = self.place(queue, &new.key, new.priority, None).tag(new.priority);
        let work = order::work(&new.spec.request);
        let job = Job::submitted(&new, now);
        self.last_job_number += 1;
        self.job_numbers.insert(new.id, self.last_job_number);
        let stored = StoredJob {
            job: job.clone(),
            lifecycle: Lifecycle::submitted(awaits_sources),
            due,
            work,
            idempotency: new.idempotency,
            result_bytes: 0,
            swept: false,
        };
        self.jobs.insert(self.last_job_number, stored);
        Ok(Submitted::Created(job))
    }

    fn repeated(&self, key: &KeyId, wanted: &Idempotency) -> Result<Option<Job>> {
        let holder = self.jobs.values().find(|stored| {
            stored.job.key == *key && stored.idempotency.as_ref().is_some_and(|held| held.key == wanted.key)
        });
        match holder {
            None => Ok(None),
            Some(stored) if stored.idempotency.as_ref() == Some(wanted) => Ok(Some(stored.job.clone())),
            Some(stored) => Err(Error::IdempotencyConflict { job: stored.job.id.clone() }),
        }
    }

    /// By the general rule first, then by the jobs' own times.
    fn due_jobs(&self, due: Due, limit: u32) -> Vec<JobId> {
        let mut found = self.ended(|stored| !stored.job.deleted, due.before, limit);
        let is_over = |stored: &StoredJob| {
            let end = stored.job.finished_at.zip(stored.job.kept_for).map(|(end, kept)| end.plus(kept));
            end.is_some_and(|end| end < due.now)
                && !stored.job.deleted
                && !found.contains(&stored.job.id)
                && !self.has_open_delivery(&stored.job.id)
        };
        let own = self.ended(is_over, Timestamp(i64::MAX), limit.saturating_sub(found.len() as u32));
        found.extend(own);
        found
    }

    fn owns(&mut self, key: &KeyId, id: &JobId) -> bool {
        self.stored(id).is_some_and(|stored| stored.job.key == *key && !stored.job.deleted)
    }

    fn delete(&mut self, now: Timestamp, key: &KeyId, id: &JobId) -> Option<Removed> {
        if !self.owns(key, id) {
            return None;
        }
        let was = self.stored(id)?.job.state;
        let after = self.apply(now, id, Payload::Nothing, Lifecycle::cancel);
        if let Some(stored) = self.stored(id) {
            if after == Some(JobState::Running) {
                stored.job.deleted = true;
            } else {
                stored.scrub();
            }
        }
        Some(Removed { job: id.clone(), was })
    }

    pub(super) fn wake_delayed(&mut self, now: Timestamp) {
        for stored in self.jobs.values_mut() {
            if let Phase::Queued { ready_at } | Phase::AwaitsSources { ready_at, .. } = &mut stored.lifecycle.phase
                && ready_at.is_some_and(|at| at <= now)
            {
                *ready_at = None;
            }
        }
    }

    fn scrub(&mut self, jobs: &[JobId]) {
        for id in jobs {
            if let Some(stored) = self.stored(id) {
                stored.scrub();
            }
        }
    }

    /// Jobs that ended before a time, earliest first.
    fn ended(&self, wanted: impl Fn(&StoredJob) -> bool, finished_before: Timestamp, limit: u32) -> Vec<JobId> {
        let mut ended: Vec<(Timestamp, u64, JobId)> = self
            .jobs
            .iter()
            .filter(|(_, stored)| wanted(stored))
            .filter_map(|(number, stored)| Some((stored.job.finished_at?, *number, stored.job.id.clone())))
            .filter(|(finished_at, ..)| *finished_at < finished_before)
            .collect();
        ended.sort();
        ended.into_iter().take(limit as usize).map(|(.., id)| id).collect()
    }
}

impl StoredJob {
    /// Removes what a deleted job said.
    pub(super) fn scrub(&mut self) {
        self.job.input = serde_json::Value::Null;
        self.job.spec = JobSpec::emptied();
        self.job.result = None;
        self.job.deleted = true;
        self.idempotency = None;
    }
}

fn matches(filter: &ListFilter, job: &Job) -> bool {
    !job.deleted
        && filter.model.as_ref().is_none_or(|model| *model == job.model)
        && (filter.states.is_empty() || filter.states.contains(&job.state))
        && filter.created_after.is_none_or(|after| job.created_at >= after)
        && filter.created_before.is_none_or(|before| job.created_at <= before)
}
