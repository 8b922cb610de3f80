//! How jobs end: what an ending has to say, and the failures that the queue itself declares.

use crate::{Failure, FailureKind, JobResult, MAX_UNCLEAN_ENDS};

/// What an ending has to say.
#[derive(Clone)]
pub(super) enum Payload {
    Nothing,
    Result(Box<JobResult>),
    Failure(Failure),
}

impl Payload {
    /// The result, where there is one.
    pub(super) fn result(&self) -> Option<&JobResult> {
        match self {
            Self::Result(result) => Some(result),
            Self::Nothing | Self::Failure(_) => None,
        }
    }
}

/// The end of a job whose workers died.
pub(super) fn quarantine(message: &str) -> Failure {
    Failure::new(
        FailureKind::Crashed,
        format!("given up after {MAX_UNCLEAN_ENDS} attempts that ended uncleanly; the last one: {message}"),
    )
}

/// What [`quarantine`] says of a lease that ran out.
pub(super) const LEASE_RAN_OUT: &str = "the worker stopped responding";

/// The end of a job that no worker took in time.
pub(super) fn start_timeout() -> Failure {
    Failure::new(FailureKind::StartTimeout, "no worker was free within the time that the request allows")
}

/// The end of a job whose stored request does not make sense, by another program's hand or a damaged page.
pub(super) fn unreadable() -> Failure {
    Failure::new(FailureKind::Internal, "the stored request cannot be read; send it again")
}

/// Jobs that one claim ends by [`unreadable`] before it lets others do something.
pub(super) const MOST_UNREADABLE: usize = 16;
