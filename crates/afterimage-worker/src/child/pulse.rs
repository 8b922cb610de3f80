//! Whether the computing thread moves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Stands for "has nothing to do".
const IDLE: u64 = u64::MAX;

/// Signs of progress of the computing thread, read by the one that tells the server.
pub struct Pulse {
    start: Instant,
    beats: AtomicU64,
    /// Milliseconds from `start` to the last beat, or [`IDLE`].
    last: AtomicU64,
}

impl Pulse {
    /// A pulse of a thread that works, since opening the models is work.
    pub fn new() -> Self {
        Self { start: Instant::now(), beats: AtomicU64::new(0), last: AtomicU64::new(0) }
    }

    /// The thread has moved.
    pub fn beat(&self) {
        self.last.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// The thread has nothing to do.
    pub fn rest(&self) {
        self.last.store(IDLE, Ordering::Relaxed);
    }

    /// Beats so far.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// Whether the thread works but has not moved for longer than `limit`.
    pub fn is_stuck(&self, limit: Duration) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last != IDLE && self.start.elapsed().saturating_sub(Duration::from_millis(last)) > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    #[test]
    fn only_work_without_progress_is_stuck() {
        let pulse = Pulse::new();
        sleep(Duration::from_millis(20));
        assert!(pulse.is_stuck(Duration::from_millis(10)));
        assert!(!pulse.is_stuck(Duration::from_mins(1)));
        pulse.beat();
        assert!(!pulse.is_stuck(Duration::from_millis(10)));
        pulse.rest();
        sleep(Duration::from_millis(20));
        assert!(!pulse.is_stuck(Duration::from_millis(10)));
        assert_eq!(pulse.beats(), 1);
    }
}
