//! How often a webhook is tried.

use std::time::Duration;

/// Attempts of one webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Attempts altogether.
    pub attempts: u32,
    /// Pause after the first attempt; it doubles with each further one.
    pub first_pause: Duration,
    /// Time of one attempt, from looking up the name to the answer's status.
    pub response_limit: Duration,
}

impl Default for Schedule {
    /// Three repetitions after about 10, 20 and 40 seconds, 15 seconds each.
    fn default() -> Self {
        Self { attempts: 4, first_pause: Duration::from_secs(10), response_limit: Duration::from_secs(15) }
    }
}

impl Schedule {
    /// The pause after attempt number `attempt` failed, `None` when it was the last one. The pause is the doubled one
    /// times 0.75 to 1.25, as `jitter` (0 to 255) says, so that what failed together does not come back together.
    pub fn pause_after(&self, attempt: u32, jitter: u8) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
        Some(doubled.mul_f64(0.75 + f64::from(jitter) / 510.0))
    }
}

/// A random number for [`Schedule::pause_after`].
pub(super) fn random_jitter() -> u8 {
    let mut byte = [128];
    // Without randomness the pauses are merely alike.
    if let Err(error) = getrandom::fill(&mut byte) {
        tracing::warn!(%error, "no randomness for pauses");
    }
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_until_the_last_attempt() {
        let schedule = Schedule { attempts: 4, first_pause: Duration::from_secs(8), ..Schedule::default() };
        let seconds = |attempt, jitter| schedule.pause_after(attempt, jitter).map(|pause| pause.as_secs_f64());
        assert_eq!(seconds(1, 0), Some(6.0));
        assert_eq!(seconds(1, 255), Some(10.0));
        assert_eq!(seconds(3, 0), Some(24.0));
        assert_eq!(seconds(4, 0), None);
        assert_eq!(seconds(9, 0), None);
    }

    proptest! {
        #[test]
        fn no_schedule_overflows(attempt: u32, attempts: u32, seconds in 0_u64..1_000_000, jitter: u8) {
            let schedule = Schedule { attempts, first_pause: Duration::from_secs(seconds), ..Schedule::default() };
            prop_assert_eq!(schedule.pause_after(attempt, jitter).is_some(), attempt < attempts);
        }
    }
}
