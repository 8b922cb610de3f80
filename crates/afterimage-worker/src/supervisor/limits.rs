//! How patient the supervisor is.

use std::time::Duration;

/// How patient the supervisor is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SupervisorLimits {
    /// A process that gives no sign of life for this long is killed. It gives one every second.
    pub silence: Duration,
    /// A process that does not stop a cancelled job within this time, or ten times its last step if that is longer,
    /// is killed.
    pub cancel: Duration,
    /// Pause before a process that died is started again. It doubles with each death without a finished job.
    pub first_pause: Duration,
    /// Longest such pause.
    pub longest_pause: Duration,
    /// At shutdown, what a process may take to stop before it is killed.
    pub stop: Duration,
}

impl Default for SupervisorLimits {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(10),
            cancel: Duration::from_secs(30),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            stop: Duration::from_secs(3),
        }
    }
}
