//! Waiting for something that tests of several crates do: looking again and again, by whatever clock the test has.
//!
//! The one place where a test sleeps to see what comes; `.ci/sleeps.py` finds other places.

#![allow(dead_code, reason = "not every test that has this module uses all of it")]

use std::fmt::Display;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something to find, and returns that. What `look` says instead is told by the failure when it
/// takes longer than `within`.
pub async fn eventually<T, E: Display>(within: Duration, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(start.elapsed() < within, "not within {within:?}: {seen}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until `what` is so; how long that took.
pub async fn until(what: impl Display, within: Duration, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    eventually(within, async || if is_so().await { Ok(()) } else { Err(&what) }).await;
    start.elapsed()
}

/// As [`until`], for tests without a runtime.
pub fn blocking_until(what: impl Display, within: Duration, mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(PAUSE);
    }
}
