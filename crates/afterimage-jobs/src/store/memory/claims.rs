//! Who runs next, and what becomes of jobs whose worker is gone.

use super::Tables;
use crate::state::{Lifecycle, Phase, TransitionRefusal};
use crate::store::endings::{self, Payload};
use crate::store::order;
use crate::{Day, Fenced, Job, JobId, JobState, KeyId, Lease, Priority, Queue, Timestamp, UseCounts, WorkerId};

impl Tables {
    /// Applies `step` to a job with all that follows from it; `None` when there is no such job or the step refused.
    pub(super) fn apply(
        &mut self,
        now: Timestamp,
        id: &JobId,
        payload: Payload,
        step: impl FnOnce(Lifecycle) -> Result<Lifecycle, TransitionRefusal>,
    ) -> Option<JobState> {
        let stored = self.stored(id)?;
        let after = step(stored.lifecycle.clone()).ok()?;
        let job = &mut stored.job;
        if after.attempt > job.attempt {
            job.started_at = Some(now);
        }
        job.state = after.state();
        job.attempt = after.attempt;
        job.retries = after.retries;
        job.unclean_ends = after.unclean_ends;
        job.cancel_requested = after.cancel_requested;
        job.quarantined = after.quarantined;
        stored.lifecycle = after;
        let state = stored.job.state;
        if state.is_terminal() {
            self.conclude(now, id, payload);
        }
        Some(state)
    }

    fn conclude(&mut self, now: Timestamp, id: &JobId, payload: Payload) {
        let Some(stored) = self.stored(id) else { return };
        stored.job.finished_at = Some(now);
        match payload {
            Payload::Result(result) => {
                stored.result_bytes = result.bytes();
                stored.job.cost_micros = stored.job.spec.cost_of(&result).unwrap_or(stored.job.cost_micros);
                stored.job.result = Some(*result);
            }
            Payload::Failure(failure) if stored.job.state == JobState::Failed => stored.job.failure = Some(failure),
            _ => {}
        }
        let job = stored.job.clone();
        if job.deleted {
            stored.scrub();
        }
        if job.state == JobState::Succeeded {
            let sum = self.spending.entry((job.key.clone(), job.user.clone().unwrap_or_default())).or_default();
            sum.jobs += 1;
            sum.cost_micros += job.cost_micros;
        }
        if let Some(count) = self.ends.count_of(job.state) {
            *count += 1;
        }
        if let Some(counts) = UseCounts::of_end(job.state, job.result.as_ref(), job.cost_micros) {
            self.uses.entry((Day::of(now), job.key.clone())).or_default().add(&counts);
        }
        self.note_delivery(now, &job);
    }

    pub(super) fn apply_fenced(
        &mut self,
        now: Timestamp,
        lease: &Lease,
        payload: Payload,
        step: impl FnOnce(Lifecycle) -> Result<Lifecycle, TransitionRefusal>,
    ) -> Fenced {
        if self.apply(now, &lease.job, payload, step).is_some() { Fenced::Done } else { Fenced::Lost }
    }

    pub(super) fn claim(
        &mut self,
        now: Timestamp,
        worker: &WorkerId,
        queue: &Queue,
        lease_until: Timestamp,
    ) -> Option<Job> {
        self.time_out_starts(now);
        let ready = self.jobs.iter().filter(|(_, stored)| match stored.lifecycle.phase {
            Phase::Queued { ready_at } => stored.queue() == queue && ready_at.is_none_or(|ready_at| ready_at <= now),
            _ => false,
        });
        let next = ready
            .filter(|(_, stored)| self.may_start(&stored.job.key))
            .min_by_key(|(number, stored)| (stored.due, **number))
            .map(|(_, stored)| stored.job.id.clone())?;
        self.apply(now, &next, Payload::Nothing, |job| job.claim(worker, now, lease_until))?;
        self.note_turn(&next);
        self.stored(&next).map(|stored| stored.job.clone())
    }

    /// The time of its queue goes on to what was claimed.
    fn note_turn(&mut self, id: &JobId) {
        let Some(stored) = self.stored(id) else { return };
        let (tag, queue) = (stored.due, stored.queue().clone());
        let end = order::end(tag, stored.work, stored.job.priority);
        let chain = (queue.clone(), stored.job.key.clone(), stored.job.priority);
        let time = self.queue_times.entry(queue).or_default();
        *time = (*time).max(tag);
        let claimed_end = self.turns.entry(chain).or_insert(end);
        *claimed_end = (*claimed_end).max(end);
    }

    /// What the tag of a job depends on that waits in `queue` from now on, or without one for its pictures, in the one
    /// order of fetching for all queues; `except` is that job, if it is stored already.
    pub(super) fn place(
        &self,
        queue: Option<&Queue>,
        key: &KeyId,
        priority: Priority,
        except: Option<&JobId>,
    ) -> order::Place {
        let is_meant = |other: &Queue| queue.is_none_or(|queue| queue == other);
        let waiting = self.jobs.iter().filter(|(_, stored)| {
            let awaits = matches!(stored.lifecycle.phase, Phase::AwaitsSources { .. });
            stored.job.state == JobState::Queued
                && awaits == queue.is_none()
                && is_meant(stored.queue())
                && (&stored.job.key, stored.job.priority) == (key, priority)
                && Some(&stored.job.id) != except
        });
        let last = waiting.max_by_key(|(number, stored)| (stored.due, **number));
        let times = self.queue_times.iter().filter(|(other, _)| is_meant(other));
        let ends = self.turns.iter().filter(|((other, of, with), _)| is_meant(other) && (of, *with) == (key, priority));
        order::Place {
            virtual_time: times.map(|(_, time)| *time).max().unwrap_or_default(),
            claimed_end: ends.map(|(_, end)| *end).max(),
            waiting_end: last.map(|(_, stored)| order::end(stored.due, stored.work, priority)),
        }
    }

    fn may_start(&self, key: &KeyId) -> bool {
        let Some((key, _)) = self.keys.iter().find(|(known, _)| known.id == *key) else { return false };
        let running = || {
            self.jobs
                .values()
                .filter(|stored| stored.job.state == JobState::Running && stored.job.key == key.id)
                .count()
        };
        key.concurrency.is_none_or(|limit| running() < limit as usize)
    }

    pub(super) fn time_out_starts(&mut self, now: Timestamp) -> Vec<JobId> {
        let limited: Vec<(JobId, Timestamp)> =
            self.jobs.values().filter_map(|stored| Some((stored.job.id.clone(), stored.job.start_by?))).collect();
        let mut failed = Vec::new();
        for (id, start_by) in limited {
            let payload = Payload::Failure(endings::start_timeout());
            if self.apply(now, &id, payload, |job| job.time_out_start(now, start_by)).is_some() {
                failed.push(id);
            }
        }
        failed
    }

    /// Ends or requeues running jobs whose lease ran out before `expired_at`.
    pub(super) fn rescue_expired(&mut self, now: Timestamp, expired_at: Timestamp) -> Vec<JobId> {
        let ids: Vec<JobId> = self.jobs.values().map(|stored| stored.job.id.clone()).collect();
        let mut rescued = Vec::new();
        for id in ids {
            let payload = Payload::Failure(endings::quarantine(endings::LEASE_RAN_OUT));
            if self.apply(now, &id, payload, |job| job.rescue(expired_at, crate::MAX_UNCLEAN_ENDS)).is_some() {
                rescued.push(id);
            }
        }
        rescued
    }
}
