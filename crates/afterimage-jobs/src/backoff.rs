//! Pauses between tries.

use std::time::Duration;

/// Pauses that double with every failure in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// None is longer.
    pub longest: Duration,
}

impl Backoff {
    /// Pauses from `first` up to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause when `failures` tries have failed in a row before the latest one, which failed, too.
    pub fn pause(&self, failures: u32) -> Duration {
        self.first.saturating_mul(2_u32.saturating_pow(failures)).min(self.longest)
    }
}

/// A number from 0 to 1, to keep those apart who would all come at once. How good it is does not matter.
pub(crate) fn random_part() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all wait equally long.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let pauses: Vec<u128> = (0..6).map(|failures| backoff.pause(failures).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    }

    proptest! {
        #[test]
        fn no_number_of_failures_overflows(failures: u32, first in 0_u64..u64::MAX, longest in 0_u64..u64::MAX) {
            let backoff = Backoff::new(Duration::from_millis(first), Duration::from_millis(longest));
            prop_assert!(backoff.pause(failures) <= backoff.longest);
            prop_assert!(backoff.pause(failures) <= backoff.pause(failures.saturating_add(1)));
        }
    }
}
