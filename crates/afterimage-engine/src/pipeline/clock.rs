//! The stages' times.

use super::load_time;
use crate::observer::Observer;
use afterimage_core::{Error, Result, Stage, Timings};
use std::time::{Duration, Instant};

/// Measures stages, with the building of models kept apart.
pub(super) struct StageClock<'a> {
    observer: &'a dyn Observer,
    timings: Timings,
    load: Duration,
    start: Instant,
}

impl<'a> StageClock<'a> {
    /// Starts the total, on the thread that does the work.
    pub fn new(observer: &'a dyn Observer) -> Self {
        // Whatever this thread built for nobody's request.
        load_time::take();
        Self { observer, timings: Timings::default(), load: Duration::ZERO, start: Instant::now() }
    }

    /// Announces `stage`, does `work` and adds its time to `target`.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the observer asked to stop, and those of `work`.
    pub fn time<T>(
        &mut self,
        stage: Stage,
        target: fn(&mut Timings) -> &mut f64,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if self.observer.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.observer.stage(stage);
        let start = Instant::now();
        let done = work();
        let load = load_time::take();
        *target(&mut self.timings) += milliseconds(start.elapsed().saturating_sub(load));
        self.load += load;
        done
    }

    /// The times so far.
    pub fn timings(&self) -> Timings {
        Timings { load_ms: milliseconds(self.load), total_ms: milliseconds(self.start.elapsed()), ..self.timings }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
