//! A time by which things may be deleted: one that a wrong clock cannot push forward at once.

use crate::Timestamp;
use crate::clock_trust::{JUMP, Reading};
use std::time::Duration;
use tokio::time::Instant;

/// A server that is started again, or looks less often than usual, jumps this far every day.
const EVERYDAY: Duration = Duration::from_hours(1);

/// Longest time that a jump is doubted.
const LONGEST_DOUBT: Duration = Duration::from_hours(6);

/// The wall clock, apart from jumps forward: one is believed when it has stood for as long as it was wide, six hours at
/// most. Until then the time goes on from where it was. A jump back is believed at once, since it deletes nothing.
///
/// A clock that was set wrongly is set right within that time, and nothing was lost. After a machine slept or a server
/// was off, things are deleted a little later than they could be.
#[derive(Debug)]
pub struct SteadyTime {
    believed: Reading,
    doubt: Option<Doubt>,
}

/// A jump that is not believed yet.
#[derive(Debug)]
struct Doubt {
    since: Instant,
    /// The clocks when it was last looked at. Compared with these, because clocks that only drift must not look as if
    /// they had jumped.
    last: Reading,
    /// How long it has to stand.
    wait: Duration,
}

impl SteadyTime {
    /// Starts at `now`. `noted` is a time that an earlier process believed: all that the clock says beyond it is a jump,
    /// for nobody measured how long that process has been gone. Without one (an empty store) there is nothing to compare with,
    /// and the clock is believed.
    pub(crate) fn resume(noted: Option<Timestamp>, now: Reading) -> Self {
        let wall = noted.map_or(now.wall, |noted| noted.min(now.wall));
        Self { believed: Reading { wall, ..now }, doubt: None }
    }

    /// The time to go by.
    pub(crate) fn read(&mut self, now: Reading) -> Timestamp {
        let expected = self.believed.carried_to(now.monotonic);
        let ahead = now.wall.since(expected);
        let wall = if ahead < JUMP {
            self.doubt = None;
            now.wall
        } else if self.has_stood(now, ahead) {
            tracing::info!(seconds = ahead.as_secs(), "the clock's jump forward is believed now");
            self.doubt = None;
            now.wall
        } else {
            expected
        };
        self.believed = Reading { wall, ..now };
        wall
    }

    /// Whether the jump of which `now` is `ahead` has been the same for long enough; notes a new one.
    fn has_stood(&mut self, now: Reading, ahead: Duration) -> bool {
        if let Some(doubt) = &mut self.doubt
            && !now.jumped_since(&doubt.last)
        {
            doubt.last = now;
            return now.monotonic - doubt.since >= doubt.wait;
        }
        let wait = ahead.min(LONGEST_DOUBT);
        let (jump_seconds, doubted_for_seconds) = (ahead.as_secs(), wait.as_secs());
        let text =
            "the clock jumped forward, or this server was off or asleep; nothing is deleted on account of it yet";
        if ahead < EVERYDAY {
            tracing::info!(jump_seconds, doubted_for_seconds, "{text}");
        } else {
            tracing::warn!(jump_seconds, doubted_for_seconds, "{text}");
        }
        self.doubt = Some(Doubt { since: now.monotonic, last: now, wait });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_767_225_600_000);
    const MINUTE: Duration = Duration::from_mins(1);
    const DAY: Duration = Duration::from_hours(24);

    /// Both clocks, moved by hand.
    struct Clocks(Reading);

    impl Clocks {
        fn new() -> Self {
            Self(Reading { monotonic: Instant::now(), wall: START })
        }

        fn pass(&mut self, time: Duration) -> Reading {
            self.0 = Reading { monotonic: self.0.monotonic + time, wall: self.0.wall.plus(time) };
            self.0
        }

        fn jump(&mut self, by: Duration) {
            self.0.wall = self.0.wall.plus(by);
        }
    }

    #[test]
    fn an_even_clock_is_followed() {
        let mut clocks = Clocks::new();
        let mut steady = SteadyTime::resume(None, clocks.0);
        for _ in 0..1000 {
            let now = clocks.pass(MINUTE);
            assert_eq!(steady.read(now), now.wall);
        }
    }

    #[test]
    fn a_jump_that_is_taken_back_was_never_believed() {
        let mut clocks = Clocks::new();
        let mut steady = SteadyTime::resume(None, clocks.0);
        clocks.jump(8 * DAY);
        for minutes in 1..60 {
            assert_eq!(steady.read(clocks.pass(MINUTE)), START.plus(minutes * MINUTE));
        }
        clocks.0.wall = clocks.0.wall.minus(8 * DAY);
        let now = clocks.pass(MINUTE);
        assert_eq!((steady.read(now), now.wall), (now.wall, START.plus(60 * MINUTE)));
    }

    #[test]
    fn a_jump_that_stands_is_believed_in_the_end() {
        for (jump, minutes) in [(8 * DAY, 360), (10 * MINUTE, 10)] {
            let mut clocks = Clocks::new();
            let mut steady = SteadyTime::resume(None, clocks.0);
            clocks.jump(jump);
            let first = clocks.pass(MINUTE);
            assert_ne!(steady.read(first), first.wall);
            for _ in 1..minutes {
                let now = clocks.pass(MINUTE);
                assert!(now.wall.since(steady.read(now)) >= jump);
            }
            let now = clocks.pass(MINUTE);
            assert_eq!(steady.read(now), now.wall);
        }
    }

    #[test]
    fn drift_is_no_jump() {
        let mut clocks = Clocks::new();
        let mut steady = SteadyTime::resume(None, clocks.0);
        clocks.jump(8 * DAY);
        for _ in 0..361 {
            // 100 ms a minute, which is much.
            clocks.jump(Duration::from_millis(100));
            steady.read(clocks.pass(MINUTE));
        }
        let now = clocks.pass(MINUTE);
        assert_eq!(steady.read(now), now.wall);
    }

    #[test]
    fn a_clock_that_keeps_jumping_is_not_believed() {
        let mut clocks = Clocks::new();
        let mut steady = SteadyTime::resume(None, clocks.0);
        for minutes in 1..2000 {
            clocks.jump(DAY);
            assert_eq!(steady.read(clocks.pass(MINUTE)), START.plus(minutes * MINUTE));
        }
    }

    #[test]
    fn a_restart_does_not_make_a_jump_true() {
        let mut clocks = Clocks::new();
        clocks.jump(8 * DAY);
        let mut steady = SteadyTime::resume(Some(START), clocks.0);
        assert_eq!(steady.read(clocks.pass(MINUTE)), START.plus(MINUTE));
        // A mark from the future is none: the clock went back since.
        let mut steady = SteadyTime::resume(Some(START.plus(365 * DAY)), clocks.0);
        let now = clocks.pass(MINUTE);
        assert_eq!(steady.read(now), now.wall);
    }

    #[test]
    fn a_jump_back_is_believed_at_once() {
        let mut clocks = Clocks::new();
        let mut steady = SteadyTime::resume(None, clocks.0);
        clocks.0.wall = START.minus(365 * DAY);
        let now = clocks.pass(MINUTE);
        assert_eq!(steady.read(now), now.wall);
    }
}
