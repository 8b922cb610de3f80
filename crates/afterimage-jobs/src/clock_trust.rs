//! Whether the wall clock can be believed: it can be set to any time, the monotonic clock cannot.

use crate::{Clock, Timestamp};
use std::time::Duration;
use tokio::time::Instant;

/// Difference between clocks, beyond what scheduling explains.
pub(crate) const JUMP: Duration = Duration::from_secs(1);

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Runs on whatever is set, but not while the machine sleeps and not across processes.
    pub(crate) monotonic: Instant,
    /// What people call the time.
    pub(crate) wall: Timestamp,
}

impl Reading {
    /// The clocks now.
    pub(crate) fn now(wall: &dyn Clock) -> Self {
        Self { monotonic: Instant::now(), wall: wall.now() }
    }

    /// What the wall clock showed now if it had run evenly since `self`.
    pub(crate) fn carried_to(&self, now: Instant) -> Timestamp {
        self.wall.plus(now - self.monotonic)
    }

    /// Whether the wall clock jumped between `earlier` and `self`, or the machine slept.
    pub(crate) fn jumped_since(&self, earlier: &Self) -> bool {
        let expected = earlier.carried_to(self.monotonic);
        self.wall.since(expected) >= JUMP || expected.since(self.wall) >= JUMP
    }
}
