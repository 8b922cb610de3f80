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
        self.beat_at(Instant::now());
    }

    fn beat_at(&self, now: Instant) {
        self.last.store(now.saturating_duration_since(self.start).as_millis() as u64, Ordering::Relaxed);
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
        self.is_stuck_at(Instant::now(), limit)
    }

    fn is_stuck_at(&self, now: Instant, limit: Duration) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        let elapsed = now.saturating_duration_since(self.start);
        last != IDLE && elapsed.saturating_sub(Duration::from_millis(last)) > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_without_progress_is_stuck() {
        let pulse = Pulse::new();
        let limit = Duration::from_secs(10);
        let after = |seconds| pulse.start + Duration::from_secs(seconds);
        assert!(!pulse.is_stuck_at(after(10), limit));
        assert!(pulse.is_stuck_at(after(11), limit), "opening the models is work");
        pulse.beat_at(after(11));
        assert!(!pulse.is_stuck_at(after(21), limit));
        assert!(pulse.is_stuck_at(after(22), limit));
        pulse.rest();
        assert!(!pulse.is_stuck_at(after(1000), limit));
        assert_eq!(pulse.beats(), 1);
        pulse.beat();
        assert!(!pulse.is_stuck(limit), "the clock of the machine counts, too");
    }
}
