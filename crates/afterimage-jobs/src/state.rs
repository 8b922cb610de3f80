//! The state machine of a job, without time, storage or payload.
//!
//! Each transition consumes a state and returns the next one or a refusal. The memory store applies these functions;
//! the SQL of the others mirrors them and is tested against it.

use crate::{FailureKind, FetchLease, JobState, Lease, Timestamp, WorkerId};

/// Workers that may die on a job before it is kept apart.
pub const MAX_UNCLEAN_ENDS: u32 = 2;

/// Claims that may end uncleanly or in a failure that may pass; the next such end is the job's.
pub const MAX_ATTEMPTS: u32 = 5;

/// What transitions read and write of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    /// Where it stands.
    pub phase: Phase,
    /// Claims so far; the fencing token of the latest.
    pub attempt: u32,
    /// Times that somebody began to fetch its pictures; the fencing token of the latest.
    pub fetches: u32,
    /// Claims and fetches that ended in a failure that may pass.
    pub retries: u32,
    /// Claims whose worker died or let the lease run out.
    pub unclean_ends: u32,
    /// Somebody asked for the end.
    pub cancel_requested: bool,
    /// Ended because too many workers died on it.
    pub quarantined: bool,
}

/// The states with what belongs to each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waits for its pictures, which lie elsewhere. No worker may take it.
    AwaitsSources {
        /// Not before this time, after a failure that may pass.
        ready_at: Option<Timestamp>,
        /// Somebody fetches, until this time unless the lease is renewed.
        fetch_until: Option<Timestamp>,
    },
    /// Waits for a worker.
    Queued {
        /// Not before this time, after a failure that may pass.
        ready_at: Option<Timestamp>,
    },
    /// A worker holds a lease.
    Running {
        /// Who.
        worker: WorkerId,
        /// Until when, unless renewed.
        lease_until: Timestamp,
    },
    /// Has a result.
    Succeeded,
    /// Has a failure.
    Failed(FailureKind),
    /// Ended on request.
    Cancelled,
}

/// Why a transition did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionRefusal {
    /// The lease is not the job's latest, or the job has ended.
    LeaseLost,
    /// The state does not allow it.
    NotNow,
}

pub(crate) type Transition = Result<Lifecycle, TransitionRefusal>;

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            phase: Phase::Queued { ready_at: None },
            attempt: 0,
            fetches: 0,
            retries: 0,
            unclean_ends: 0,
            cancel_requested: false,
            quarantined: false,
        }
    }
}

impl Lifecycle {
    /// A job as it begins; `awaits_sources`: some of its pictures lie elsewhere.
    pub fn submitted(awaits_sources: bool) -> Self {
        let fresh = Self::default();
        if awaits_sources {
            return Self { phase: Phase::AwaitsSources { ready_at: None, fetch_until: None }, ..fresh };
        }
        fresh
    }

    /// The state's name.
    pub const fn state(&self) -> JobState {
        match self.phase {
            Phase::AwaitsSources { .. } | Phase::Queued { .. } => JobState::Queued,
            Phase::Running { .. } => JobState::Running,
            Phase::Succeeded => JobState::Succeeded,
            Phase::Failed(_) => JobState::Failed,
            Phase::Cancelled => JobState::Cancelled,
        }
    }

    /// Somebody begins to fetch the pictures.
    ///
    /// # Errors
    /// [`TransitionRefusal::NotNow`] when none are awaited, somebody fetches already, or the job must wait longer.
    pub fn claim_fetch(self, now: Timestamp, fetch_until: Timestamp) -> Transition {
        match self.phase {
            Phase::AwaitsSources { ready_at, fetch_until: None } if ready_at.is_none_or(|ready_at| ready_at <= now) => {
                let phase = Phase::AwaitsSources { ready_at: None, fetch_until: Some(fetch_until) };
                Ok(Self { phase, fetches: self.fetches + 1, ..self })
            }
            _ => Err(TransitionRefusal::NotNow),
        }
    }

    /// The fetcher prolongs its lease.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn renew_fetch(self, lease: &FetchLease, until: Timestamp) -> Transition {
        self.check_fetch(lease)?;
        Ok(Self { phase: Phase::AwaitsSources { ready_at: None, fetch_until: Some(until) }, ..self })
    }

    /// All pictures are here.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn sources_ready(self, lease: &FetchLease) -> Transition {
        self.check_fetch(lease)?;
        Ok(Self { phase: Phase::Queued { ready_at: None }, ..self })
    }

    /// A picture cannot be had.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn sources_failed(self, lease: &FetchLease, kind: FailureKind) -> Transition {
        self.check_fetch(lease)?;
        Ok(self.ended(Phase::Failed(kind)))
    }

    /// The fetcher stops in good order; somebody else will fetch.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn release_fetch(self, lease: &FetchLease) -> Transition {
        self.check_fetch(lease)?;
        Ok(self.awaits_again(None))
    }

    /// The fetcher met a failure that may pass.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn retry_fetch(self, lease: &FetchLease, kind: FailureKind, ready_at: Timestamp) -> Transition {
        self.check_fetch(lease)?;
        let counted = Self { retries: self.retries + 1, ..self };
        if counted.spent() >= MAX_ATTEMPTS {
            return Ok(counted.ended(Phase::Failed(kind)));
        }
        Ok(counted.awaits_again(Some(ready_at)))
    }

    /// Anybody finds the lease of a fetch run out. It is not counted against the job: nothing of it runs while pictures
    /// are fetched, and what ended the fetcher ended many others with it.
    ///
    /// # Errors
    /// [`TransitionRefusal::NotNow`] when nobody fetches or the lease is good.
    pub fn free_fetch(self, now: Timestamp) -> Transition {
        match self.phase {
            Phase::AwaitsSources { fetch_until: Some(until), .. } if until < now => Ok(self.awaits_again(None)),
            _ => Err(TransitionRefusal::NotNow),
        }
    }

    /// A worker takes the waiting job.
    ///
    /// # Errors
    /// [`TransitionRefusal::NotNow`] when it does not wait, awaits its pictures, or must wait longer.
    pub fn claim(self, worker: &WorkerId, now: Timestamp, lease_until: Timestamp) -> Transition {
        match self.phase {
            Phase::Queued { ready_at } if ready_at.is_none_or(|ready_at| ready_at <= now) => {}
            _ => return Err(TransitionRefusal::NotNow),
        }
        let phase = Phase::Running { worker: worker.clone(), lease_until };
        Ok(Self { phase, attempt: self.attempt + 1, ..self })
    }

    /// The holder prolongs its lease. A lease that ran out may be renewed as long as nobody acted on it.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn renew(self, lease: &Lease, until: Timestamp) -> Transition {
        self.check(lease)?;
        Ok(Self { phase: Phase::Running { worker: lease.worker.clone(), lease_until: until }, ..self })
    }

    /// The holder has a result. It counts even when somebody asked for the end meanwhile.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn succeed(self, lease: &Lease) -> Transition {
        self.check(lease)?;
        Ok(self.ended(Phase::Succeeded))
    }

    /// The holder has a failure that another try would not change.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn fail(self, lease: &Lease, kind: FailureKind) -> Transition {
        self.check(lease)?;
        Ok(self.ended(Phase::Failed(kind)))
    }

    /// The holder stopped on request. A worker's word that there was one is not enough.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`]; [`TransitionRefusal::NotNow`] when nobody who may has asked for the end.
    pub fn confirm_cancel(self, lease: &Lease) -> Transition {
        self.check(lease)?;
        if !self.cancel_requested {
            return Err(TransitionRefusal::NotNow);
        }
        Ok(self.ended(Phase::Cancelled))
    }

    /// The holder hands the job back in good order, which costs it nothing.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn release(self, lease: &Lease) -> Transition {
        self.check(lease)?;
        Ok(self.back_in_queue(None))
    }

    /// The holder met a failure that may pass.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn retry(self, lease: &Lease, kind: FailureKind, ready_at: Timestamp) -> Transition {
        self.check(lease)?;
        let counted = Self { retries: self.retries + 1, ..self };
        if !counted.cancel_requested && counted.spent() >= MAX_ATTEMPTS {
            return Ok(counted.ended(Phase::Failed(kind)));
        }
        Ok(counted.back_in_queue(Some(ready_at)))
    }

    /// The holder saw what ran the job die.
    ///
    /// # Errors
    /// [`TransitionRefusal::LeaseLost`].
    pub fn crashed(self, lease: &Lease) -> Transition {
        self.check(lease)?;
        Ok(self.ended_uncleanly(MAX_UNCLEAN_ENDS))
    }

    /// Anybody finds the lease run out. `most` unclean ends of this kind are the job's end: [`MAX_UNCLEAN_ENDS`] where
    /// hosts do not vanish by themselves.
    ///
    /// # Errors
    /// [`TransitionRefusal::NotNow`] when the job does not run or its lease is good.
    pub fn rescue(self, now: Timestamp, most: u32) -> Transition {
        match self.phase {
            Phase::Running { lease_until, .. } if lease_until < now => Ok(self.ended_uncleanly(most)),
            _ => Err(TransitionRefusal::NotNow),
        }
    }

    /// The owner wants the job's end.
    ///
    /// # Errors
    /// [`TransitionRefusal::NotNow`] when it has ended.
    pub fn cancel(self) -> Transition {
        let requested = Self { cancel_requested: true, ..self };
        match requested.phase {
            Phase::AwaitsSources { .. } | Phase::Queued { .. } => Ok(requested.ended(Phase::Cancelled)),
            Phase::Running { .. } => Ok(requested),
            _ => Err(TransitionRefusal::NotNow),
        }
    }

    /// No worker took the job in time. The limit is on the first start only.
    ///
    /// # Errors
    /// [`TransitionRefusal::NotNow`] when it was claimed before, has ended or has time left.
    pub fn time_out_start(self, now: Timestamp, start_by: Timestamp) -> Transition {
        match self.phase {
            Phase::AwaitsSources { .. } | Phase::Queued { .. } if self.attempt == 0 && start_by <= now => {
                Ok(self.ended(Phase::Failed(FailureKind::StartTimeout)))
            }
            _ => Err(TransitionRefusal::NotNow),
        }
    }

    fn check(&self, lease: &Lease) -> Result<(), TransitionRefusal> {
        match &self.phase {
            Phase::Running { worker, .. } if *worker == lease.worker && self.attempt == lease.attempt => Ok(()),
            _ => Err(TransitionRefusal::LeaseLost),
        }
    }

    const fn check_fetch(&self, lease: &FetchLease) -> Result<(), TransitionRefusal> {
        match &self.phase {
            Phase::AwaitsSources { fetch_until: Some(_), .. } if self.fetches == lease.number => Ok(()),
            _ => Err(TransitionRefusal::LeaseLost),
        }
    }

    fn awaits_again(self, ready_at: Option<Timestamp>) -> Self {
        Self { phase: Phase::AwaitsSources { ready_at, fetch_until: None }, ..self }
    }

    const fn spent(&self) -> u32 {
        self.retries + self.unclean_ends
    }

    fn ended(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// A job that should be cancelled ends instead of running again.
    fn back_in_queue(self, ready_at: Option<Timestamp>) -> Self {
        if self.cancel_requested {
            return self.ended(Phase::Cancelled);
        }
        Self { phase: Phase::Queued { ready_at }, ..self }
    }

    fn ended_uncleanly(self, most: u32) -> Self {
        let counted = Self { unclean_ends: self.unclean_ends + 1, ..self };
        if counted.cancel_requested {
            return counted.ended(Phase::Cancelled);
        }
        if counted.unclean_ends >= most || counted.spent() >= MAX_ATTEMPTS {
            return Self { quarantined: true, ..counted.ended(Phase::Failed(FailureKind::Crashed)) };
        }
        counted.back_in_queue(None)
    }
}
