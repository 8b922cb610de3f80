//! How many wait for the same jobs, here and elsewhere: the more there are, the less each has to look.

use crate::backoff::random_part;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Processes that are to look, on average, for a job that one of many announced. When all happen to pass it by, one in fifty
/// times, the next slot that ends its job takes it, or the next that looks by itself.
const CALLED: f64 = 4.0;

/// Looks of idle slots that nobody called are at least so far apart, over all processes.
const APART: Duration = Duration::from_millis(10);

/// The slots of this process and of all that work on the same queue.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    own: AtomicUsize,
    all: AtomicUsize,
}

impl Crowd {
    /// Notes how many slots there are, `own` of them in this process.
    pub(super) fn set(&self, own: usize, all: usize) {
        self.own.store(own, Ordering::Relaxed);
        self.all.store(all, Ordering::Relaxed);
    }

    /// Whether this process looks for a job that another one announced. Drawn anew each time.
    pub(super) fn is_called_on(&self) -> bool {
        let share = self.share();
        share >= 1.0 || random_part() < share
    }

    /// Its part of those who look; 1 while the others are few, or not known.
    fn share(&self) -> f64 {
        let (own, all) = (self.own.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed));
        if own >= all { 1.0 } else { (CALLED * own as f64 / all as f64).min(1.0) }
    }

    /// How often an idle slot looks that would do so every `usual`.
    pub(super) fn look_every(&self, usual: Duration) -> Duration {
        let all = u32::try_from(self.all.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        usual.max(APART.saturating_mul(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_all_look() {
        let crowd = Crowd::default();
        for (own, all) in [(0, 0), (4, 0), (4, 4), (16, 64), (1, 4)] {
            crowd.set(own, all);
            assert!((0..100).all(|_| crowd.is_called_on()), "{own} of {all}");
        }
        assert_eq!(crowd.look_every(Duration::from_secs(2)), Duration::from_secs(2));
    }

    #[test]
    fn of_many_about_four_look() {
        let crowd = Crowd::default();
        crowd.set(16, 1008);
        let called: usize = (0..2000).map(|_| (0..63).filter(|_| crowd.is_called_on()).count()).sum();
        let mean = called as f64 / 2000.0;
        assert!((3.6..4.4).contains(&mean), "{mean}");
        assert_eq!(crowd.look_every(Duration::from_secs(2)), Duration::from_millis(10_080));
    }

    proptest! {
        #[test]
        fn a_share_is_a_part_and_looks_are_never_more_often(own in 0_usize..10_000, all in 0_usize..1_000_000) {
            let crowd = Crowd::default();
            crowd.set(own, all);
            prop_assert!((0.0..=1.0).contains(&crowd.share()));
            prop_assert!(crowd.look_every(Duration::from_millis(500)) >= Duration::from_millis(500));
        }
    }
}
