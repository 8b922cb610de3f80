//! What each kernel takes, by events before and after every launch.

use crate::driver::{CudaContext, CudaEvent, CudaStream, DriverError};
use afterimage_device::WorkTime;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Launches between two events, while somebody wants to know.
#[derive(Default)]
pub(crate) struct KernelTimes {
    are_wanted: AtomicBool,
    noted: Mutex<Vec<(&'static str, CudaEvent, CudaEvent)>>,
}

impl KernelTimes {
    /// Notes every launch from here on.
    pub fn start(&self) {
        self.are_wanted.store(true, Ordering::Relaxed);
    }

    /// Runs `launch`, between two events if its time is wanted.
    ///
    /// # Errors
    /// Those of `launch` and of the driver.
    pub fn note(
        &self,
        (context, stream): (&Arc<CudaContext>, &CudaStream),
        name: &'static str,
        launch: impl FnOnce() -> Result<(), DriverError>,
    ) -> Result<(), DriverError> {
        if !self.are_wanted.load(Ordering::Relaxed) {
            return launch();
        }
        let (before, after) = (CudaEvent::timed(context)?, CudaEvent::timed(context)?);
        stream.record(&before)?;
        launch()?;
        stream.record(&after)?;
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push((name, before, after));
        Ok(())
    }

    /// What was noted, by kernel, the longest first. Waits for all of it, and ends noting.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn finish(&self, stream: &CudaStream) -> Result<Vec<WorkTime>, DriverError> {
        self.are_wanted.store(false, Ordering::Relaxed);
        stream.synchronise()?;
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        let mut sums = BTreeMap::<&str, (u64, f64)>::new();
        for (name, before, after) in &noted {
            let sum = sums.entry(name).or_default();
            *sum = (sum.0 + 1, sum.1 + f64::from(after.milliseconds_since(before)?));
        }
        let time =
            |(name, (runs, milliseconds)): (&str, (u64, f64))| WorkTime { name: name.to_owned(), runs, milliseconds };
        let mut times: Vec<WorkTime> = sums.into_iter().map(time).collect();
        times.sort_by(|one, other| other.milliseconds.total_cmp(&one.milliseconds));
        Ok(times)
    }
}
