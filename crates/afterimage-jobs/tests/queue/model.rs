//! The state machine explored: two fetchers and two workers that may pause for any time and write late, rescuers, an
//! owner who cancels, in every order.

use afterimage_jobs::state::{Lifecycle, Phase, TransitionRefusal};
use afterimage_jobs::{FailureKind, FetchLease, JobId, Lease, MAX_ATTEMPTS, MAX_UNCLEAN_ENDS, Timestamp, WorkerId};
use stateright::{Checker, Model, Property};

/// Bounds of the exploration; nothing new happens beyond.
const LAST_MOMENT: i64 = 5;
const LAST_ATTEMPT: u32 = 6;
const LEASE: i64 = 1;

/// Nothing new happens after more fetches.
const LAST_FETCH: u32 = 4;

struct OneJob {
    awaits_sources: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "each tells one property what was seen")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    job: Lifecycle,
    now: i64,
    /// What each worker believes to hold. Only its own write makes it stop believing.
    held: [Option<u32>; 2],
    /// What each fetcher believes to hold.
    fetching: [Option<u32>; 2],
    /// Times that the pictures were handed over.
    arrivals: u32,
    claimed_before_arrival: bool,
    /// Writes that ended the job, and the attempt of the one that did.
    ends: u32,
    ended_by: Option<u32>,
    claimed_after_cancel: bool,
    refused_late_write: bool,
    refused_unasked_cancel: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Tick,
    Claim(usize),
    Renew(usize),
    Succeed(usize),
    Fail(usize),
    /// Whatever made the worker believe that it should stop: a request, or a hint that was wrong.
    ConfirmCancel(usize),
    Release(usize),
    Crashed(usize),
    Retry(usize),
    Rescue,
    Cancel,
    ClaimFetch(usize),
    RenewFetch(usize),
    SourcesReady(usize),
    SourcesFailed(usize),
    ReleaseFetch(usize),
    RetryFetch(usize),
    FreeFetch,
}

fn worker(index: usize) -> WorkerId {
    WorkerId::from(format!("worker {index}"))
}

impl World {
    fn lease(&self, index: usize) -> Option<Lease> {
        Some(Lease { job: JobId::from("job"), attempt: self.held[index]?, worker: worker(index) })
    }

    fn write(
        &self,
        index: usize,
        step: impl FnOnce(Lifecycle, &Lease) -> Result<Lifecycle, TransitionRefusal>,
    ) -> Option<Self> {
        let lease = self.lease(index)?;
        let mut next = self.clone();
        next.held[index] = None;
        match step(self.job.clone(), &lease) {
            Ok(job) => next.follow(job, Some(lease.attempt)),
            Err(TransitionRefusal::LeaseLost) => next.refused_late_write = true,
            Err(TransitionRefusal::NotNow) => next.refused_unasked_cancel = true,
        }
        Some(next)
    }

    fn fetch_lease(&self, index: usize) -> Option<FetchLease> {
        Some(FetchLease { job: JobId::from("job"), number: self.fetching[index]? })
    }

    fn write_fetch(
        &self,
        index: usize,
        step: impl FnOnce(Lifecycle, &FetchLease) -> Result<Lifecycle, TransitionRefusal>,
    ) -> Option<Self> {
        let lease = self.fetch_lease(index)?;
        let mut next = self.clone();
        next.fetching[index] = None;
        match step(self.job.clone(), &lease) {
            Ok(job) => {
                next.arrivals += u32::from(matches!(job.phase, Phase::Queued { .. }));
                next.follow(job, None);
            }
            Err(_) => next.refused_late_write = true,
        }
        Some(next)
    }

    fn follow(&mut self, job: Lifecycle, by: Option<u32>) {
        if job.state().is_terminal() {
            self.ends += 1;
            self.ended_by = by;
        }
        self.job = job;
    }
}

impl Model for OneJob {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            job: Lifecycle::submitted(self.awaits_sources),
            now: 0,
            held: [None, None],
            fetching: [None, None],
            arrivals: 0,
            claimed_before_arrival: false,
            ends: 0,
            ended_by: None,
            claimed_after_cancel: false,
            refused_late_write: false,
            refused_unasked_cancel: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.now < LAST_MOMENT {
            actions.push(Action::Tick);
        }
        actions.extend([Action::Rescue, Action::Cancel, Action::FreeFetch]);
        if self.awaits_sources {
            fetch_actions(world, actions);
        }
        for index in 0..2 {
            if world.held[index].is_none() {
                actions.push(Action::Claim(index));
            } else {
                actions.extend([
                    Action::Renew(index),
                    Action::Succeed(index),
                    Action::Fail(index),
                    Action::ConfirmCancel(index),
                    Action::Release(index),
                    Action::Crashed(index),
                    Action::Retry(index),
                ]);
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let now = Timestamp(world.now);
        let mut next = world.clone();
        match action {
            Action::Tick => next.now += 1,
            Action::Claim(index) => {
                next.job = world.job.clone().claim(&worker(index), now, Timestamp(world.now + LEASE)).ok()?;
                next.held[index] = Some(next.job.attempt);
                next.claimed_before_arrival |= self.awaits_sources && world.arrivals == 0;
                next.claimed_after_cancel |= world.job.cancel_requested;
            }
            Action::Renew(index) => {
                let lease = world.lease(index)?;
                next.job = world.job.clone().renew(&lease, Timestamp(world.now + LEASE)).ok()?;
            }
            Action::Succeed(index) => return world.write(index, Lifecycle::succeed),
            Action::Fail(index) => return world.write(index, |job, lease| job.fail(lease, FailureKind::Engine)),
            Action::ConfirmCancel(index) => return world.write(index, Lifecycle::confirm_cancel),
            Action::Release(index) => return world.write(index, Lifecycle::release),
            Action::Crashed(index) => return world.write(index, Lifecycle::crashed),
            Action::Retry(index) => {
                return world.write(index, |job, lease| job.retry(lease, FailureKind::Storage, now));
            }
            Action::Rescue => next.follow(world.job.clone().rescue(now, MAX_UNCLEAN_ENDS).ok()?, None),
            Action::Cancel => next.follow(world.job.clone().cancel().ok()?, None),
            Action::ClaimFetch(index) => {
                next.job = world.job.clone().claim_fetch(now, Timestamp(world.now + LEASE)).ok()?;
                next.fetching[index] = Some(next.job.fetches);
                next.claimed_after_cancel |= world.job.cancel_requested;
            }
            Action::RenewFetch(index) => {
                let lease = world.fetch_lease(index)?;
                next.job = world.job.clone().renew_fetch(&lease, Timestamp(world.now + LEASE)).ok()?;
            }
            Action::SourcesReady(index) => return world.write_fetch(index, Lifecycle::sources_ready),
            Action::SourcesFailed(index) => {
                return world
                    .write_fetch(index, |job, lease| job.sources_failed(lease, FailureKind::SourceUnavailable));
            }
            Action::ReleaseFetch(index) => return world.write_fetch(index, Lifecycle::release_fetch),
            Action::RetryFetch(index) => {
                return world.write_fetch(index, |job, lease| job.retry_fetch(lease, FailureKind::Storage, now));
            }
            Action::FreeFetch => next.job = world.job.clone().free_fetch(now).ok()?,
        }
        Some(next)
    }

    fn within_boundary(&self, world: &World) -> bool {
        let (last_attempt, last_moment) = if self.awaits_sources { (2, 4) } else { (LAST_ATTEMPT, LAST_MOMENT) };
        world.job.attempt <= last_attempt && world.job.fetches <= LAST_FETCH && world.now <= last_moment
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("pictures arrive at most once", |_, world: &World| world.arrivals <= 1),
            Property::always("no worker starts without its pictures", |_, world: &World| !world.claimed_before_arrival),
            Property::always("two never hold the latest fetch", |_, world: &World| {
                world.fetching.iter().filter(|held| **held == Some(world.job.fetches)).count() <= 1
            }),
            Property::always("fetching is no unclean end", |_, world: &World| {
                world.job.attempt > 0 || world.job.unclean_ends == 0
            }),
            Property::always("at most one end", |_, world: &World| {
                world.ends == u32::from(world.job.state().is_terminal())
            }),
            Property::always("only the latest claim ends a job", |_, world: &World| {
                world.ended_by.is_none_or(|attempt| attempt == world.job.attempt)
            }),
            Property::always("deaths are bounded", |_, world: &World| {
                world.job.unclean_ends <= MAX_UNCLEAN_ENDS && world.job.retries + world.job.unclean_ends <= MAX_ATTEMPTS
            }),
            Property::always("quarantine means the last death", |_, world: &World| {
                !world.job.quarantined || world.job.phase == Phase::Failed(FailureKind::Crashed)
            }),
            Property::always("only what somebody asked for is cancelled", |_, world: &World| {
                world.job.phase != Phase::Cancelled || world.job.cancel_requested
            }),
            Property::always("what should be cancelled never starts", |_, world: &World| !world.claimed_after_cancel),
            Property::always("two never hold the latest claim", |_, world: &World| {
                world.held.iter().filter(|held| **held == Some(world.job.attempt)).count() <= 1
            }),
            Property::sometimes("a late write is refused", |_, world: &World| world.refused_late_write),
            Property::sometimes("a cancel nobody asked for is refused", |_, world: &World| {
                world.refused_unasked_cancel
            }),
        ];
        if self.awaits_sources {
            properties.extend([
                Property::sometimes("the second fetcher brings the pictures", |_, world: &World| {
                    world.job.fetches > 1 && world.arrivals == 1 && world.refused_late_write
                }),
                Property::sometimes("a job ends while its pictures are fetched", |_, world: &World| {
                    world.job.phase == Phase::Cancelled && world.fetching.iter().any(Option::is_some)
                }),
                Property::sometimes("a fetched job succeeds", |_, world: &World| world.job.phase == Phase::Succeeded),
            ]);
            return properties;
        }
        properties.extend([
            Property::sometimes("a rescued job succeeds", |_, world: &World| {
                world.job.unclean_ends > 0 && world.job.phase == Phase::Succeeded
            }),
            Property::sometimes("completion beats a cancel", |_, world: &World| {
                world.job.cancel_requested && world.job.phase == Phase::Succeeded
            }),
            Property::sometimes("quarantine", |_, world: &World| world.job.quarantined),
        ]);
        properties
    }
}

fn fetch_actions(world: &World, actions: &mut Vec<Action>) {
    for index in 0..2 {
        if world.fetching[index].is_none() {
            actions.push(Action::ClaimFetch(index));
        } else {
            actions.extend([
                Action::RenewFetch(index),
                Action::SourcesReady(index),
                Action::SourcesFailed(index),
                Action::ReleaseFetch(index),
                Action::RetryFetch(index),
            ]);
        }
    }
}

#[test]
fn every_order_of_events_keeps_the_promises() {
    for awaits_sources in [false, true] {
        let checker = OneJob { awaits_sources }.checker().spawn_bfs().join();
        checker.assert_properties();
        assert!(checker.unique_state_count() > 10_000, "{} states", checker.unique_state_count());
    }
}
