//! When leases that ran out may be believed.
//!
//! A lease that looks run out may have had no chance to be renewed: the database was away or started again, a replica took
//! its place, or its clock jumped. Then nobody is rescued until holders have had the time to renew. So this host's own
//! clock, which never jumps, is read beside the database's.

use crate::Timestamp;
use crate::clock_trust::{JUMP, Reading};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// When leases that ran out may be believed.
#[derive(Debug, Default)]
pub(super) struct Grace(Mutex<Option<Seen>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    server: Server,
    at: Reading,
    /// Nobody is rescued before.
    not_before: Instant,
}

/// What tells one run of one server from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) started_at: i64,
    pub(super) timeline: i64,
}

impl Grace {
    /// Notes what was seen; whether leases can be believed.
    pub(super) fn allows(&self, server: Server, at: Reading, lease: Duration) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since_start = at.wall.since(Timestamp(server.started_at));
        // Whoever holds a lease has renewed it by then.
        let renewal = lease / 3 + JUMP;
        let not_before = match &*seen {
            // A first look cannot tell whether the clock jumped a moment ago; and where the server just started, whoever holds
            // a lease may not have come back to it.
            None => at.monotonic + lease.saturating_sub(since_start).max(renewal),
            Some(before) if before.server != server => at.monotonic + lease,
            // It was away, or this process was: who was not asked for so long may not have been renewed either.
            Some(before) if at.monotonic - before.at.monotonic >= lease => at.monotonic + lease,
            Some(before) if at.jumped_since(&before.at) => before.not_before.max(at.monotonic + renewal),
            Some(before) => before.not_before,
        };
        *seen = Some(Seen { server, at, not_before });
        not_before <= at.monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(12);
    const LONG_AGO: Server = Server { started_at: 0, timeline: 1 };

    /// Both clocks so many seconds after the beginning; the database's is `ahead` of where it should be.
    fn reading(start: Instant, seconds: u64, ahead: i64) -> Reading {
        let wall = Timestamp(1_767_225_600_000 + seconds as i64 * 1000 + ahead * 1000);
        Reading { monotonic: start + Duration::from_secs(seconds), wall }
    }

    /// Seconds, out of `seen`, at which somebody may be rescued.
    fn allowed(seen: &[(u64, Server, i64)]) -> Vec<u64> {
        let (grace, start) = (Grace::default(), Instant::now());
        let mut allowed = Vec::new();
        for (seconds, server, ahead) in seen {
            if grace.allows(*server, reading(start, *seconds, *ahead), LEASE) {
                allowed.push(*seconds);
            }
        }
        allowed
    }

    #[test]
    fn a_server_that_has_run_for_long_is_believed_when_its_clock_was_seen_to_run() {
        let times = [0, 2, 4, 6, 8].map(|second| (second, LONG_AGO, 0));
        assert_eq!(allowed(&times), [6, 8]);
        // It may have jumped before the first look.
        let times = [0, 2, 4, 6, 8].map(|second| (second, LONG_AGO, 300));
        assert_eq!(allowed(&times), [6, 8]);
    }

    #[test]
    fn after_a_restart_or_a_promotion_a_whole_lease_passes() {
        let restarted = Server { started_at: 1_767_225_606_000, ..LONG_AGO };
        let promoted = Server { timeline: 2, ..LONG_AGO };
        for server in [restarted, promoted] {
            let times = [0, 6, 8, 12, 17, 20, 22].map(|second| (second, if second < 7 { LONG_AGO } else { server }, 0));
            assert_eq!(allowed(&times), [6, 20, 22]);
        }
        // A process that starts after the database did asks the same of it.
        assert_eq!(allowed(&[(8, restarted, 0), (14, restarted, 0), (18, restarted, 0)]), [18]);
    }

    #[test]
    fn a_database_that_was_away_gives_its_holders_time() {
        let times = [0, 6, 36, 38, 46, 48].map(|second| (second, LONG_AGO, 0));
        assert_eq!(allowed(&times), [6, 48]);
    }

    #[test]
    fn a_clock_that_jumps_is_believed_when_holders_have_renewed() {
        for ahead in [300, -300] {
            let times =
                [0, 2, 4, 6, 8, 10, 12, 14].map(|second| (second, LONG_AGO, if second < 8 { 0 } else { ahead }));
            assert_eq!(allowed(&times), [6, 14]);
        }
    }
}
