//! The order of the queue: a time per job, fixed when it is submitted, smallest first.
//!
//! `due = max(now, last due of the key's waiting jobs of the same priority, without head start, + spacing) − head start`
//!
//! - A static time can be indexed, and waiting jobs age by themselves: every job comes before all jobs that are due
//!   later, so nothing starves.
//! - The spacing spreads a key's burst into the future. A key that sends one job in between comes before what is left
//!   of the burst, as with the virtual clock of packet schedulers (L. Zhang, SIGCOMM 1990). Alone in the queue, a
//!   burst runs as fast as workers can: the time says who is next, not when.
//! - A head start is worth a fixed time, so a low job waits at most twice that longer than a high one of its age.
//! - Only *waiting* jobs count for the last due time, so a key that burst yesterday is not punished today.

use crate::{Priority, Timestamp};
use std::time::Duration;

/// Distance of a key's waiting jobs. Long against a generation, so that a burst leaves room for others.
pub(crate) const KEY_SPACING: Duration = Duration::from_mins(1);

/// What one step of priority is worth.
pub(crate) const HEAD_START: Duration = Duration::from_mins(10);

/// When a job submitted `now` is due; `last_due` is the latest one among the waiting jobs of its key and priority.
pub(crate) fn due(now: Timestamp, last_due: Option<Timestamp>, priority: Priority) -> Timestamp {
    let fresh = match priority {
        Priority::Low => now.plus(HEAD_START),
        Priority::Normal => now,
        Priority::High => now.minus(HEAD_START),
    };
    last_due.map_or(fresh, |last_due| fresh.max(last_due.plus(KEY_SPACING)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_spread_and_a_newcomer_comes_in_between() {
        let start = Timestamp(1_000_000);
        let first = due(start, None, Priority::Normal);
        let second = due(start, Some(first), Priority::Normal);
        let third = due(start, Some(second), Priority::Normal);
        let newcomer = due(start.plus(Duration::from_secs(1)), None, Priority::Normal);
        assert_eq!(first, start);
        assert!(first < newcomer && newcomer < second && second < third);
    }

    #[test]
    fn a_low_job_that_waited_comes_before_a_newer_high_one() {
        let low = due(Timestamp(0), None, Priority::Low);
        let soon = due(Timestamp(0).plus(HEAD_START), None, Priority::High);
        let late = due(Timestamp(0).plus(HEAD_START * 2 + Duration::from_millis(1)), None, Priority::High);
        assert!(soon < low && low < late);
    }
}
