//! One stage of a benchmark: its times and its work.

use super::processor::processor_seconds;
use super::samples::TimeSamples;
use afterimage_device::{CountedDevice, WorkTally};
use std::time::Instant;

/// What one stage took, an entry a run (or step).
#[derive(Default)]
pub(super) struct StageTimes {
    pub milliseconds: Vec<f64>,
    /// Seconds, all threads together.
    pub processor: Vec<f64>,
    /// Of the last time.
    pub work: WorkTally,
}

impl StageTimes {
    pub fn samples(&self) -> TimeSamples {
        TimeSamples::of(&self.milliseconds)
    }

    /// The same, if it ran.
    pub fn ran(&self) -> Option<TimeSamples> {
        (!self.milliseconds.is_empty()).then(|| self.samples())
    }
}

/// Wall and processor time, and work, from here on.
pub(super) struct Stopwatch<'a, D> {
    device: &'a CountedDevice<D>,
    wall: Instant,
    processor: Option<f64>,
}

impl<'a, D> Stopwatch<'a, D> {
    pub fn start(device: &'a CountedDevice<D>) -> Self {
        device.take();
        Self { device, processor: processor_seconds(), wall: Instant::now() }
    }

    pub fn stop(self, stage: &mut StageTimes) {
        stage.milliseconds.push(self.wall.elapsed().as_secs_f64() * 1e3);
        stage.processor.extend(self.processor.and_then(|before| Some(processor_seconds()? - before)));
        stage.work = self.device.take();
    }
}
