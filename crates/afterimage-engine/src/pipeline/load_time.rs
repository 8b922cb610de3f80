//! Time that a request spends on building models.
//!
//! One engine serves requests in parallel, each on a thread of its own from beginning to end, and a model is built by
//! the thread of the request that needs it first. So the time is kept by thread: no request's times hold another's.

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Does `work` and counts its time for this thread's request.
pub(super) fn measure<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let before = SPENT.take();
    let done = work();
    // What was measured within it is part of it.
    SPENT.set(before + start.elapsed());
    done
}

/// What was counted for this thread since the last call.
pub(super) fn take() -> Duration {
    SPENT.take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{scope, sleep};

    #[test]
    fn threads_do_not_see_each_others_time_and_nothing_counts_twice() {
        take();
        let pause = Duration::from_millis(30);
        let took = scope(|scope| {
            // Real time: it is what is measured.
            scope.spawn(|| measure(|| sleep(pause * 4)));
            let start = Instant::now();
            // Real time, too.
            measure(|| measure(|| sleep(pause)));
            start.elapsed()
        });
        let spent = take();
        assert!(spent >= pause && spent <= took, "{spent:?} of {took:?}");
        assert_eq!(take(), Duration::ZERO);
    }
}
